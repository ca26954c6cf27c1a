"""Connectors bring student features into a space shared with the teacher; train-only."""

from .cfm import CFM
from .msdf import MSDF, MSDFOutput
from .sep_conv import SepConv
from .stage_heads import StageHeads
from .stage_matcher import StageMatcher
from .stage_projector import StageProjector

__all__ = ['CFM', 'MSDF', 'MSDFOutput', 'SepConv', 'StageHeads', 'StageMatcher', 'StageProjector']
