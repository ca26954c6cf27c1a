"""Attention transfer as a registered loss."""

from hetkd.arguments import Weight
from hetkd.functional import at_loss
from hetkd.registry import MODELS

from .base import StageLoss


@MODELS.register_module()
class ATLoss(StageLoss):
    """Feature loss: sum of :func:`hetkd.functional.at_loss` over the matched stages (arXiv 1612.03928).

    Args:
        loss_weight: factor of the result. Default 1000, the common setting beside cross-entropy.
    """

    def __init__(self, loss_weight: Weight = 1000.0):
        super().__init__(at_loss, loss_weight)
