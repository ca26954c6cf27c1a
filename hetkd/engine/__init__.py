"""Runner, loop and hooks."""

from .checkpoint_globals import own_checkpoint
from .fully_shard import FullyShardStrategy
from .hooks import (
    ClassCheckHook,
    EpochSeedHook,
    GradientCosineHook,
    InterruptHook,
    LossGuardHook,
    PreflightHook,
    ProgressHook,
    ReplayHook,
    RunRecordHook,
    SafeCheckpointHook,
    StudentEMAHook,
    TeacherAgreementHook,
    TrainingDataHook,
)
from .plain_model import plain_model
from .preflight import PreflightLoop
from .runner import DistillRunner
from .strategy_runner import StrategyRunner

__all__ = [
    'ClassCheckHook',
    'DistillRunner',
    'EpochSeedHook',
    'FullyShardStrategy',
    'GradientCosineHook',
    'InterruptHook',
    'LossGuardHook',
    'PreflightHook',
    'PreflightLoop',
    'ProgressHook',
    'ReplayHook',
    'RunRecordHook',
    'SafeCheckpointHook',
    'StrategyRunner',
    'StudentEMAHook',
    'TeacherAgreementHook',
    'TrainingDataHook',
    'own_checkpoint',
    'plain_model',
]
