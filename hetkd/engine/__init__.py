"""Runner and hooks."""

from .checkpoint_globals import own_checkpoint
from .hooks import ClassCheckHook, EpochSeedHook, LossGuardHook, RunRecordHook, TrainingDataHook
from .runner import DistillRunner

__all__ = [
    'ClassCheckHook',
    'DistillRunner',
    'EpochSeedHook',
    'LossGuardHook',
    'RunRecordHook',
    'TrainingDataHook',
    'own_checkpoint',
]
