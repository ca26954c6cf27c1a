"""KD as a registered loss."""

import torch

from hetkd.arguments import Temperature, Weight
from hetkd.functional import kd_loss, standardise_logits
from hetkd.registry import MODELS

from .base import FunctionLoss


@MODELS.register_module()
class KDLoss(FunctionLoss):
    """Logit loss over :func:`hetkd.functional.kd_loss` (arXiv 1503.02531).

    Args:
        temperature: T > 0.
        standardise: whether to standardise both nets' logits first (arXiv 2403.01427). Default no.
        loss_weight: factor of the result.
    """

    def __init__(self, temperature: Temperature = 4.0, standardise: bool = False, loss_weight: Weight = 1.0):
        super().__init__(kd_loss, loss_weight, temperature=temperature)
        self.standardise = standardise

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target=None) -> torch.Tensor:
        """Student and teacher logits (N, C) to a scalar."""
        if self.standardise:
            student, teacher = standardise_logits(student), standardise_logits(teacher)
        return self.weighted(student, teacher)
