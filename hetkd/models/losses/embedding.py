"""Losses on the embeddings of a batch: any widths, any families."""

from hetkd.arguments import Count, Positive, Weight
from hetkd.functional import cc_loss, rkd_loss, rsd_loss
from hetkd.registry import MODELS

from .base import FunctionLoss


class EmbeddingLoss(FunctionLoss):
    """A function of both nets' embeddings."""

    needs = ('embedding',)

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` to a scalar."""
        return self.weighted(student.embedding, teacher.embedding)


@MODELS.register_module()
class RKDLoss(EmbeddingLoss):
    """Feature loss over :func:`hetkd.functional.rkd_loss` on the embeddings (arXiv 1904.05068).

    Args:
        distance_weight: weight of the distances.
        angle_weight: weight of the angles.
        loss_weight: factor of the result.
    """

    def __init__(
        self, distance_weight: Weight = 25.0, angle_weight: Weight = 50.0, loss_weight: Weight = 1.0
    ):
        super().__init__(rkd_loss, loss_weight, distance_weight=distance_weight, angle_weight=angle_weight)


@MODELS.register_module()
class CCLoss(EmbeddingLoss):
    """Feature loss over :func:`hetkd.functional.cc_loss` on the embeddings (arXiv 1904.01802).

    Args:
        gamma: of the kernel.
        order: of its Taylor polynomial, at least 1.
        loss_weight: factor of the result. Default 100, the weight that code of this loss is run with.
    """

    def __init__(self, gamma: Positive = 0.4, order: Count = 2, loss_weight: Weight = 100.0):
        super().__init__(cc_loss, loss_weight, gamma=gamma, order=order)


@MODELS.register_module()
class RSDLoss(EmbeddingLoss):
    """Feature loss over :func:`hetkd.functional.rsd_loss` on the embeddings (arXiv 2507.21844).

    The embeddings must be of one width: give the distiller ``embedding_matcher=dict(type='AAD')``.

    Args:
        kappa: weight of the off-diagonal.
        loss_weight: factor of the result (the paper's lambda).
    """

    def __init__(self, kappa: Weight = 0.01, loss_weight: Weight = 0.1):
        super().__init__(rsd_loss, loss_weight, kappa=kappa)
