"""OFA-KD's loss as a registered loss."""

import torch
from torch import nn

from hetkd.functional import ofa_loss
from hetkd.functional.checks import check_temperature
from hetkd.registry import MODELS


@MODELS.register_module()
class OFALoss(nn.Module):
    """Logit loss over :func:`hetkd.functional.ofa_loss` (arXiv 2310.19444).

    Args:
        eps: the modulating exponent, >= 1.
        temperature: T > 0.
        loss_weight: factor of the result.
    """

    def __init__(self, eps: float = 1.0, temperature: float = 1.0, loss_weight: float = 1.0):
        super().__init__()
        check_temperature(temperature)
        self.options = dict(eps=eps, temperature=temperature)
        self.loss_weight = loss_weight

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Student logits (..., N, C), teacher logits (N, C) and the target to the leading shape."""
        return self.loss_weight * ofa_loss(student, teacher, target, **self.options)
