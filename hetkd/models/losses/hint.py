"""FitNet's hint as a registered loss."""

from torch import nn

from hetkd.functional import hint_loss
from hetkd.registry import MODELS


@MODELS.register_module()
class HintLoss(nn.Module):
    """Feature loss: mean of :func:`hetkd.functional.hint_loss` over the matched stages (FitNet, 1412.6550).

    FitNet matches one stage; say which with the distiller's ``stages``.

    Args:
        loss_weight: factor of the result.
    """

    needs = ('stages',)

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` with matched stages to a scalar."""
        hints = [hint_loss(a, b) for a, b in zip(student.stages, teacher.stages, strict=True)]
        return self.loss_weight * sum(hints) / len(hints)
