"""Runner, loop and hooks."""

from .checkpoint_globals import own_checkpoint
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
from .preflight import PreflightLoop
from .runner import DistillRunner

__all__ = [
    'ClassCheckHook',
    'DistillRunner',
    'DistillTrainLoop',
    'EpochSeedHook',
    'GradientCosineHook',
    'LossGuardHook',
    'PreflightHook',
    'PreflightLoop',
    'ProgressHook',
    'RunRecordHook',
    'SafeCheckpointHook',
    'StudentEMAHook',
    'TeacherAgreementHook',
    'TrainingDataHook',
    'own_checkpoint',
]
