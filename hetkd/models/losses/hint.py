"""FitNet's hint as a registered loss."""

from hetkd.arguments import Weight
from hetkd.functional import hint_loss
from hetkd.registry import MODELS

from .base import StageLoss


@MODELS.register_module()
class HintLoss(StageLoss):
    """Feature loss: mean of :func:`hetkd.functional.hint_loss` over the matched stages (FitNet, 1412.6550).

    FitNet matches one stage; say which with the distiller's ``stages``.

    Args:
        loss_weight: factor of the result.
    """

    def __init__(self, loss_weight: Weight = 1.0):
        super().__init__(hint_loss, loss_weight)

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` with matched stages to a scalar."""
        return super().forward(student, teacher) / len(student.stages)
