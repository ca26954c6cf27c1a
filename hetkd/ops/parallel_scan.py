"""Selective scan as a parallel prefix scan, for export: a fixed number of whole-tensor operations."""

import torch


def parallel_scan(u, dt, A, B, C) -> tuple[torch.Tensor, torch.Tensor]:
    r"""The recurrence of :class:`~hetkd.ops.chunked_scan.ChunkedScan`, by doubling (Hillis and Steele, 1986).

    Two neighbouring steps :math:`h \mapsto a h + b` compose to one,
    :math:`h \mapsto a_2 a_1 h + (a_2 b_1 + b_2)`, so :math:`\lceil\log_2 L\rceil` rounds cover all L steps.
    All states are in memory at once and the work grows by a factor :math:`\log_2 L`. But no loop depends on
    the batch, so torch.export can trace it, and ONNX has all of its operators.

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
