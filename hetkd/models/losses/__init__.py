"""Losses: thin registered modules over :mod:`hetkd.functional`.

A logit loss is called with logits, a feature loss with :class:`~hetkd.models.nets.NetOutput`; both with the
target, and give a scalar.
"""

from .dfra import DFRALoss
from .hint import HintLoss
from .kd import KDLoss
from .sub_logit import OrthogonalityLoss, SubLogitLoss

__all__ = ['DFRALoss', 'HintLoss', 'KDLoss', 'OrthogonalityLoss', 'SubLogitLoss']
