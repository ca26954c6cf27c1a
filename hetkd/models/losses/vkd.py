"""VkD as a registered loss."""

from hetkd.arguments import Weight
from hetkd.functional import vkd_loss
from hetkd.registry import MODELS

from .base import FunctionLoss


@MODELS.register_module()
class VkDLoss(FunctionLoss):
    """Feature loss over :func:`hetkd.functional.vkd_loss` on the means of the last maps (arXiv 2403.06213).

    They must be of one width: give the distiller ``embedding_matcher=dict(type='OrthogonalProjector')``.

    Args:
        loss_weight: factor of the result.
    """

    needs = ('mean',)

    def __init__(self, loss_weight: Weight = 1.0):
        super().__init__(vkd_loss, loss_weight)

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` to a scalar."""
        return self.weighted(student.mean, teacher.mean)
