"""CAT as a registered loss."""

from hetkd.arguments import Count, Weight
from hetkd.functional import cat_loss
from hetkd.registry import MODELS

from .base import FunctionLoss


@MODELS.register_module()
class CATLoss(FunctionLoss):
    """Feature loss over :func:`hetkd.functional.cat_loss` on the class maps (arXiv 2304.12777).

    Args:
        resolution: cells of the grid on which they are compared, in each direction.
        loss_weight: factor of the result. Default 400, as in the authors' code.
    """

    needs = ('class_map', 'logits')  # of a teacher with a class head

    def __init__(self, resolution: Count = 2, loss_weight: Weight = 400.0):
        super().__init__(cat_loss, loss_weight, resolution=resolution)

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` to a scalar."""
        return self.weighted(student.class_map, teacher.class_map)
