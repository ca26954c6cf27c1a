"""FitNet's hint as a registered loss."""

from torch import nn

from hetkd.functional import hint_loss
from hetkd.registry import MODELS


@MODELS.register_module()
class HintLoss(nn.Module):
    """Feature loss over :func:`hetkd.functional.hint_loss` on one stage (FitNet, arXiv 1412.6550).

    Args:
        stage: index of the matched stage, shallow to deep; negative counts from the deepest.
        loss_weight: factor of the result.
    """

    needs = ('stages',)

    def __init__(self, stage: int = -1, loss_weight: float = 1.0):
        super().__init__()
        self.stage = stage
        self.loss_weight = loss_weight

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` with matched stages to a scalar."""
        return self.loss_weight * hint_loss(student.stages[self.stage], teacher.stages[self.stage])
