"""OFA-KD's loss as a registered loss."""

import torch

from hetkd.arguments import Temperature, Weight
from hetkd.functional import ofa_loss
from hetkd.registry import MODELS

from .base import FunctionLoss


@MODELS.register_module()
class OFALoss(FunctionLoss):
    """Logit loss over :func:`hetkd.functional.ofa_loss` (arXiv 2310.19444).

    Args:
        eps: the modulating exponent, >= 1.
        temperature: T > 0.
        loss_weight: factor of the result.
    """

    def __init__(self, eps: float = 1.0, temperature: Temperature = 1.0, loss_weight: Weight = 1.0):
        super().__init__(ofa_loss, loss_weight, eps=eps, temperature=temperature)

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Student logits (..., N, C), teacher logits (N, C) and the target to the leading shape."""
        return self.weighted(student, teacher, target)
