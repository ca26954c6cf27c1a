"""Attention transfer as a registered loss."""

from torch import nn

from hetkd.functional import at_loss
from hetkd.registry import MODELS


@MODELS.register_module()
class ATLoss(nn.Module):
    """Feature loss: sum of :func:`hetkd.functional.at_loss` over the matched stages (arXiv 1612.03928).

    Args:
        loss_weight: factor of the result. Default 1000, the common setting beside cross-entropy.
    """

    needs = ('stages',)

    def __init__(self, loss_weight: float = 1000.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` with matched stages to a scalar."""
        pairs = zip(student.stages, teacher.stages, strict=True)
        return self.loss_weight * sum(at_loss(a, b) for a, b in pairs)
