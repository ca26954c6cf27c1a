"""Teacher and student nets: any mmpretrain classifier, any timm model, our Mambas."""

from .base import RANDOM, Net
from .contract import InputSpec, NetOutput, StageSpec, select_stages
from .mamba_net import MambaNet
from .mmpretrain_net import MMPretrainNet
from .timm_net import TimmNet

__all__ = [
    'RANDOM',
    'InputSpec',
    'MMPretrainNet',
    'MambaNet',
    'Net',
    'NetOutput',
    'StageSpec',
    'TimmNet',
    'select_stages',
]
