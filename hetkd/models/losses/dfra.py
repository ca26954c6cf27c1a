"""DFRA as a registered loss."""

import torch

from hetkd.arguments import Temperature, Weight
from hetkd.functional import dfra_loss
from hetkd.registry import MODELS

from .base import FunctionLoss


@MODELS.register_module()
class DFRALoss(FunctionLoss):
    """Logit loss over :func:`hetkd.functional.dfra_loss` (MLDR-KD, arXiv 2502.06189).

    Args:
        temperature: T > 0.
        alpha: weight of the probability term.
        loss_weight: factor of the result.

    Raises:
        UserError: the temperature is not a finite number > 0.
    """

    def __init__(self, temperature: Temperature = 1.0, alpha: Weight = 2.0, loss_weight: Weight = 1.0):
        super().__init__(_total, loss_weight, temperature=temperature, alpha=alpha)

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target=None) -> torch.Tensor:
        """Student logits (..., N, C) and teacher logits (N, C) to a tensor of the leading shape."""
        return self.weighted(student, teacher)


def _total(student: torch.Tensor, teacher: torch.Tensor, **options) -> torch.Tensor:
    return dfra_loss(student, teacher, **options).total
