"""Losses: thin registered modules over :mod:`hetkd.functional`.

A logit loss is called with logits, a feature loss with :class:`~hetkd.models.nets.NetOutput`; both with the
target. They give a scalar; ``DFRALoss`` and ``OFALoss`` also take the logits of several students (..., N, C),
and give one value for each.
"""

from .at import ATLoss
from .crd import CRDLoss
from .dfra import DFRALoss
from .dist import DISTLoss
from .dkd import DKDLoss
from .embedding import CCLoss, RKDLoss, RSDLoss
from .hint import HintLoss
from .kd import KDLoss
from .label import LabelLoss
from .ofa import OFALoss
from .sub_logit import OrthogonalityLoss, SubLogitLoss

__all__ = [
    'ATLoss',
    'CCLoss',
    'CRDLoss',
    'DFRALoss',
    'DISTLoss',
    'DKDLoss',
    'HintLoss',
    'KDLoss',
    'LabelLoss',
    'OFALoss',
    'OrthogonalityLoss',
    'RKDLoss',
    'RSDLoss',
    'SubLogitLoss',
]
