"""The selective scan as a fixed number of whole-tensor operations, for programs that are exported."""

import torch


def parallel_scan(u, dt, A, B, C) -> tuple[torch.Tensor, torch.Tensor]:
    r"""The recurrence of :class:`~hetkd.ops.chunked_scan.ChunkedScan`, by doubling (Hillis and Steele, 1986).

    Two neighbouring steps :math:`h \mapsto a h + b` are one, :math:`h \mapsto a_2 a_1 h + (a_2 b_1 + b_2)`,
    so :math:`\lceil\log_2 L\rceil` rounds reach from the first step to the last. All states are in memory
    at once and the work grows by the logarithm, but no loop depends on the batch: torch.export follows it,
    and ONNX has all of its operators.

    Args:
        u, dt: (L, batch, groups, E).
        A: (groups, E, N).
        B, C: (L, batch, groups, N).

    Returns:
        y like u and the last state (batch, groups, E, N).
    """
    decay = torch.exp(dt.unsqueeze(-1) * A)
    states = (u * dt).unsqueeze(-1) * B.unsqueeze(-2)
    reach, length = 1, len(u)
    while reach < length:
        states = torch.cat([states[:reach], decay[reach:] * states[:-reach] + states[reach:]])
        decay = torch.cat([decay[:reach], decay[reach:] * decay[:-reach]])
        reach *= 2
    return (states @ C.unsqueeze(-1)).squeeze(-1), states[-1]
