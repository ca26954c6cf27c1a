"""Runner and hooks."""

from .checkpoint_globals import own_checkpoint
from .hooks import ClassCheckHook, EpochSeedHook, LossGuardHook, TrainingDataHook
from .runner import DistillRunner

__all__ = [
    'ClassCheckHook',
    'DistillRunner',
    'EpochSeedHook',
    'LossGuardHook',
    'TrainingDataHook',
    'own_checkpoint',
]
