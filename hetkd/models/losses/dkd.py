"""DKD as a registered loss."""

import torch
from torch import nn

from hetkd.functional import dkd_loss
from hetkd.functional.checks import check_temperature
from hetkd.registry import MODELS


@MODELS.register_module()
class DKDLoss(nn.Module):
    """Logit loss over :func:`hetkd.functional.dkd_loss` (arXiv 2203.08679).

    Args:
        alpha: weight of the target-class part.
        beta: weight of the non-target part.
        temperature: T > 0.
        loss_weight: factor of the result.
    """

    def __init__(
        self, alpha: float = 1.0, beta: float = 8.0, temperature: float = 4.0, loss_weight: float = 1.0
    ):
        super().__init__()
        check_temperature(temperature)
        self.options = dict(alpha=alpha, beta=beta, temperature=temperature)
        self.loss_weight = loss_weight

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Student and teacher logits (N, C) and the target to a scalar."""
        return self.loss_weight * dkd_loss(student, teacher, target, **self.options)
