"""Losses on the embeddings of a batch: any widths, any families."""

from torch import nn

from hetkd.functional import cc_loss, rkd_loss, rsd_loss
from hetkd.registry import MODELS


@MODELS.register_module()
class RKDLoss(nn.Module):
    """Feature loss over :func:`hetkd.functional.rkd_loss` on the embeddings (arXiv 1904.05068).

    Args:
        distance_weight: weight of the distances.
        angle_weight: weight of the angles.
        loss_weight: factor of the result.
    """

    needs = ('embedding',)

    def __init__(self, distance_weight: float = 25.0, angle_weight: float = 50.0, loss_weight: float = 1.0):
        super().__init__()
        self.options = dict(distance_weight=distance_weight, angle_weight=angle_weight)
        self.loss_weight = loss_weight

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` to a scalar."""
        return self.loss_weight * rkd_loss(student.embedding, teacher.embedding, **self.options)


@MODELS.register_module()
class CCLoss(nn.Module):
    """Feature loss over :func:`hetkd.functional.cc_loss` on the embeddings (arXiv 1904.01802).

    Args:
        gamma: of the kernel.
        order: of its Taylor polynomial.
        loss_weight: factor of the result.
    """

    needs = ('embedding',)

    def __init__(self, gamma: float = 0.4, order: int = 2, loss_weight: float = 1.0):
        super().__init__()
        self.options = dict(gamma=gamma, order=order)
        self.loss_weight = loss_weight

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` to a scalar."""
        return self.loss_weight * cc_loss(student.embedding, teacher.embedding, **self.options)


@MODELS.register_module()
class RSDLoss(nn.Module):
    """Feature loss over :func:`hetkd.functional.rsd_loss` on the embeddings (arXiv 2507.21844).

    The embeddings must be of one width: give the distiller ``embedding_matcher=dict(type='AAD')``.

    Args:
        kappa: weight of the off-diagonal.
        loss_weight: factor of the result (the paper's lambda).
    """

    needs = ('embedding',)

    def __init__(self, kappa: float = 0.01, loss_weight: float = 0.1):
        super().__init__()
        self.kappa = kappa
        self.loss_weight = loss_weight

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` to a scalar."""
        return self.loss_weight * rsd_loss(student.embedding, teacher.embedding, self.kappa)
