"""Kullback-Leibler divergence between the class distributions of two nets' logits.

DKD and the relation losses have a KL of their own, between other distributions.
"""

import torch
import torch.nn.functional as F

from .checks import check_logits, check_temperature
from .precision import full_precision


def kl_divergence(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    r"""KL(p_t || p_s) at a temperature, averaged over the batch.

    .. math:: \frac1N \sum_{n,c} p_t (\log p_t - \log p_s), \qquad p = \mathrm{softmax}(z / T)

    There is no factor :math:`T^2` here; :func:`kd_loss` adds it.

    Args:
        student_logits: (..., N, C). Leading dimensions hold several students of one teacher.
        teacher_logits: (N, C). Never receives a gradient.
        temperature: T > 0.

    Returns:
        Tensor of the leading shape (a scalar for (N, C) input), >= 0, in float32 for half-precision inputs.

    Raises:
        UserError: shapes do not fit, or the temperature is not a finite number > 0.
    """
    check_logits(student_logits, teacher_logits)
    check_temperature(temperature)
    return mean_kl(student_logits, teacher_logits.detach(), temperature)


def mean_kl(logits: torch.Tensor, target_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean of :func:`kl_of_each` over the batch."""
    return kl_of_each(logits, target_logits, temperature).mean(-1)


def kl_of_each(logits: torch.Tensor, target_logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """KL(softmax(target / T) || softmax(logits / T)) of each sample; gradients reach both sides.

    Args:
        logits: (..., N, C).
        target_logits: (..., N, C); leading dimensions broadcast.
        temperature: T > 0, checked by the caller.

    Returns:
        (..., N), >= 0, in float32 for half-precision inputs.
    """
    log_q = F.log_softmax(full_precision(logits) / temperature, dim=-1)
    log_p = F.log_softmax(full_precision(target_logits) / temperature, dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)
