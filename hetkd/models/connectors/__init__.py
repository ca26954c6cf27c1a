"""Connectors bring student features into a space shared with the teacher; train-only."""

from .aad import AAD
from .cfm import CFM
from .contrast_head import ContrastHead
from .msdf import MSDF, MSDFOutput
from .orthogonal import OrthogonalProjector
from .sep_conv import SepConv
from .stage_heads import StageHeads
from .stage_matcher import StageMatcher
from .stage_projector import StageProjector

__all__ = [
    'AAD',
    'CFM',
    'MSDF',
    'ContrastHead',
    'MSDFOutput',
    'OrthogonalProjector',
    'SepConv',
    'StageHeads',
    'StageMatcher',
    'StageProjector',
]
