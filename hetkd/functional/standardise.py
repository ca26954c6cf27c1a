"""Logit standardisation."""

import torch

from .checks import check_classes
from .precision import full_precision


def standardise_logits(logits: torch.Tensor) -> torch.Tensor:
    r"""Z-score of each sample's logits (arXiv 2403.01427).

    .. math:: (z - \bar z) / (\sigma_z + 10^{-7})

    Student and teacher then need not match in range or variance, only in shape. Use the result in place
    of the logits, e.g. in :func:`kd_loss`; the temperature there is the paper's base temperature.

    Args:
        logits: (..., C), C >= 2.

    Returns:
        The same shape, in float32 for half-precision inputs; zero for a row of equal logits.

    Raises:
        UserError: fewer than two classes.
    """
    check_classes('logit standardisation', logits.shape[-1])
    logits = full_precision(logits)
    centred = logits - logits.mean(-1, keepdim=True)
    variance = centred.square().sum(-1, keepdim=True) / (logits.shape[-1] - 1)
    # A row of equal logits, up to rounding, becomes zero and gets no gradient; NaN stays visible.
    constant = variance <= 1e-12 * logits.square().mean(-1, keepdim=True)
    spread = torch.where(constant, 1.0, variance).sqrt()
    return torch.where(constant, 0.0, centred / (spread + 1e-7))
