"""Runner, loop and hooks."""

from .checkpoint_globals import own_checkpoint
from .fully_shard import FullyShardStrategy
from .hooks import (
    ClassCheckHook,
    EpochSeedHook,
    GradientCosineHook,
    LossGuardHook,
    ProgressHook,
    RunRecordHook,
    SafeCheckpointHook,
    StudentEMAHook,
    TeacherAgreementHook,
    TeacherCheckHook,
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
    'PreflightLoop',
    'ProgressHook',
    'RunRecordHook',
    'SafeCheckpointHook',
    'StrategyRunner',
    'StudentEMAHook',
    'TeacherAgreementHook',
    'TeacherCheckHook',
    'TrainingDataHook',
    'own_checkpoint',
    'plain_model',
]
