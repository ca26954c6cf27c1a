"""DIST as a registered loss."""

import torch

from hetkd.arguments import Temperature, Weight
from hetkd.functional import dist_loss
from hetkd.registry import MODELS

from .base import FunctionLoss


@MODELS.register_module()
class DISTLoss(FunctionLoss):
    """Logit loss over :func:`hetkd.functional.dist_loss` (arXiv 2205.10536).

    Args:
        beta: weight of the correlation over classes.
        gamma: weight of the correlation over samples.
        temperature: T > 0.
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        beta: Weight = 1.0,
        gamma: Weight = 1.0,
        temperature: Temperature = 1.0,
        loss_weight: Weight = 1.0,
    ):
        super().__init__(dist_loss, loss_weight, beta=beta, gamma=gamma, temperature=temperature)

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target=None) -> torch.Tensor:
        """Student and teacher logits (N, C) to a scalar."""
        return self.weighted(student, teacher)
