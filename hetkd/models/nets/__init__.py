"""Teacher and student nets: any mmpretrain classifier, any timm model."""

from .base import RANDOM, Net
from .contract import FeatureSpecs, InputSpec, NetOutput, StageSpec, select_stages
from .mmpretrain_net import MMPretrainNet
from .timm_net import TimmNet

__all__ = [
    'RANDOM',
    'FeatureSpecs',
    'InputSpec',
    'MMPretrainNet',
    'Net',
    'NetOutput',
    'StageSpec',
    'TimmNet',
    'select_stages',
]
