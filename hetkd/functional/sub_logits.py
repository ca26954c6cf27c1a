"""HCD's Sub-logit Decoupled Distillation (SDD)."""

import torch
import torch.nn.functional as F

from hetkd.errors import UserError

from .checks import check_temperature
from .kl import mean_kl
from .precision import full_precision
from .targets import one_hot


def sublogit_kl(
    sub_logits: torch.Tensor, student_logits: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    r"""Mean over j of KL(s_j || z_s) at T, averaged over the batch.

    Source: HCD (arXiv 2511.10942); details second-hand, from a third-party port. There is no factor
    :math:`T^2` here. Gradients reach both sides: detach ``sub_logits`` for a fixed target.

    Args:
        sub_logits: (..., N, n, C), the targets s_j.
        student_logits: (N, C), z_s.
        temperature: T > 0.

    Returns:
        Tensor of the leading shape (a scalar for (N, n, C)), >= 0.

    Raises:
        UserError: shapes do not fit, or the temperature is not a finite number > 0.
    """
    check_temperature(temperature)
    *_, samples, _, classes = sub_logits.shape
    if student_logits.shape != (samples, classes):
        raise UserError(
            'sub-logits',
            '(..., N, n, C) beside student logits (N, C)',
            f'{tuple(sub_logits.shape)} and {tuple(student_logits.shape)}',
        )
    return mean_kl(student_logits, sub_logits.transpose(-3, -2), temperature).mean(-1)


def sublogit_ce(sub_logits: torch.Tensor, target: torch.Tensor, label_smoothing: float = 0.1) -> torch.Tensor:
    r"""Mean over j of CE(s_j, y), averaged over the batch.

    Source: HCD (arXiv 2511.10942); details second-hand, from a third-party port.

    Args:
        sub_logits: (..., N, n, C).
        target: class indices (N,), or probabilities (N, C).
        label_smoothing: in [0, 1].

    Returns:
        Tensor of the leading shape (a scalar for (N, n, C)), >= 0.
    """
    log_p = F.log_softmax(full_precision(sub_logits), dim=-1)
    classes = log_p.shape[-1]
    if target.dim() == 1:
        target = one_hot(target, classes, log_p.dtype)
    target = target.to(log_p.dtype) * (1 - label_smoothing) + label_smoothing / classes
    return -(target[:, None, :] * log_p).sum(-1).mean((-2, -1))
