"""Runners and hooks."""

from .checkpoint_globals import own_checkpoint
from .fully_shard import FullyShardStrategy
from .hooks import ClassCheckHook, EpochSeedHook, LossGuardHook, RunRecordHook, TrainingDataHook
from .runner import DistillRunner
from .strategy_runner import StrategyRunner

__all__ = [
    'ClassCheckHook',
    'DistillRunner',
    'EpochSeedHook',
    'FullyShardStrategy',
    'LossGuardHook',
    'RunRecordHook',
    'StrategyRunner',
    'TrainingDataHook',
    'own_checkpoint',
]
