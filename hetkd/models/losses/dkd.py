"""DKD as a registered loss."""

import torch

from hetkd.arguments import Temperature, Weight
from hetkd.functional import dkd_loss
from hetkd.registry import MODELS

from .base import FunctionLoss


@MODELS.register_module()
class DKDLoss(FunctionLoss):
    """Logit loss over :func:`hetkd.functional.dkd_loss` (arXiv 2203.08679).

    Args:
        alpha: weight of the target-class part.
        beta: weight of the non-target part.
        temperature: T > 0.
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        alpha: Weight = 1.0,
        beta: Weight = 8.0,
        temperature: Temperature = 4.0,
        loss_weight: Weight = 1.0,
    ):
        super().__init__(dkd_loss, loss_weight, alpha=alpha, beta=beta, temperature=temperature)

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Student and teacher logits (N, C) and the target to a scalar."""
        return self.weighted(student, teacher, target)
