"""The papers' equations as pure tensor functions. Imports torch only."""

from .dfra import DFRA, dfra_loss
from .hint import hint_loss
from .kd import kd_loss
from .kl import kl_divergence
from .msdf import msdf_fuse
from .orthogonality import orthogonality_loss
from .relation import relation_kl
from .sub_logits import sublogit_ce, sublogit_kl

__all__ = [
    'DFRA',
    'dfra_loss',
    'hint_loss',
    'kd_loss',
    'kl_divergence',
    'msdf_fuse',
    'orthogonality_loss',
    'relation_kl',
    'sublogit_ce',
    'sublogit_kl',
]
