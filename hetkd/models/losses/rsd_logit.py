"""RSD on logits as a registered loss."""

import torch

from hetkd.arguments import Weight
from hetkd.functional import rsd_loss
from hetkd.registry import MODELS

from .base import FunctionLoss


@MODELS.register_module()
class RSDLogitLoss(FunctionLoss):
    """Logit loss over :func:`hetkd.functional.rsd_loss` (arXiv 2507.21844): each class is a dimension.

    Args:
        kappa: weight of the off-diagonal.
        loss_weight: factor of the result (the paper's lambda; that of the logits is not published).
    """

    def __init__(self, kappa: Weight = 0.01, loss_weight: Weight = 0.1):
        super().__init__(rsd_loss, loss_weight, kappa=kappa)

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target=None) -> torch.Tensor:
        """Student and teacher logits (N, C) to a scalar."""
        return self.weighted(student, teacher)
