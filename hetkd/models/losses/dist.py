"""DIST as a registered loss."""

import torch
from torch import nn

from hetkd.functional import dist_loss
from hetkd.functional.checks import check_temperature
from hetkd.registry import MODELS


@MODELS.register_module()
class DISTLoss(nn.Module):
    """Logit loss over :func:`hetkd.functional.dist_loss` (arXiv 2205.10536).

    Args:
        beta: weight of the correlation over classes.
        gamma: weight of the correlation over samples.
        temperature: T > 0.
        loss_weight: factor of the result.
    """

    def __init__(
        self, beta: float = 1.0, gamma: float = 1.0, temperature: float = 1.0, loss_weight: float = 1.0
    ):
        super().__init__()
        check_temperature(temperature)
        self.options = dict(beta=beta, gamma=gamma, temperature=temperature)
        self.loss_weight = loss_weight

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target=None) -> torch.Tensor:
        """Student and teacher logits (N, C) to a scalar."""
        return self.loss_weight * dist_loss(student, teacher, **self.options)
