"""DFRA as a registered loss."""

import torch
from torch import nn

from hetkd.functional import dfra_loss
from hetkd.functional.checks import check_temperature
from hetkd.registry import MODELS


@MODELS.register_module()
class DFRALoss(nn.Module):
    """Logit loss over :func:`hetkd.functional.dfra_loss` (MLDR-KD, arXiv 2502.06189).

    Args:
        temperature: T > 0.
        alpha: weight of the probability term.
        loss_weight: factor of the result.

    Raises:
        ValueError: the temperature is not a finite number > 0.
    """

    def __init__(self, temperature: float = 1.0, alpha: float = 2.0, loss_weight: float = 1.0):
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature
        self.alpha = alpha
        self.loss_weight = loss_weight

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target=None) -> torch.Tensor:
        """Student logits (..., N, C) and teacher logits (N, C) to a tensor of the leading shape."""
        return self.loss_weight * dfra_loss(student, teacher, self.temperature, self.alpha).total
