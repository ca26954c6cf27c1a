"""Runner, loop and hooks."""

from .checkpoint_globals import own_checkpoint
from .fully_shard import FullyShardStrategy
from .hooks import (
    ClassCheckHook,
    EpochSeedHook,
    GradientCosineHook,
    LossGuardHook,
    PreflightHook,
    ProgressHook,
    RunRecordHook,
    SafeCheckpointHook,
    StudentEMAHook,
    TeacherAgreementHook,
    TrainingDataHook,
)
from .loop import DistillTrainLoop
from .plain_model import plain_model
from .preflight import PreflightLoop
from .runner import DistillRunner
from .strategy_runner import StrategyRunner

__all__ = [
    'ClassCheckHook',
    'DistillRunner',
    'DistillTrainLoop',
    'EpochSeedHook',
    'FullyShardStrategy',
    'GradientCosineHook',
    'LossGuardHook',
    'PreflightHook',
    'PreflightLoop',
    'ProgressHook',
    'RunRecordHook',
    'SafeCheckpointHook',
    'StrategyRunner',
    'StudentEMAHook',
    'TeacherAgreementHook',
    'TrainingDataHook',
    'own_checkpoint',
    'plain_model',
]
