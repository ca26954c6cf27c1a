"""Runner, loop and hooks."""

from . import checkpoint_loader, file_backend  # noqa: F401, they register themselves
from .amp import AmpOptimWrapper, has_bfloat16
from .hooks import (
    ClassCheckHook,
    EpochSeedHook,
    GradientCosineHook,
    InputCheckHook,
    InterruptHook,
    LossCostHook,
    LossGuardHook,
    PortableCheckpointHook,
    ProgressHook,
    ResumeHook,
    RunRecordHook,
    StudentEMAHook,
    SummaryHook,
    TeacherAgreementHook,
    TeacherCheckHook,
    TrainingDataHook,
    WaitingHook,
)
from .lasting import latest_checkpoint
from .parameter_groups import DefaultOptimWrapperConstructor
from .plain_model import plain_model
from .preflight import PreflightLoop
from .runner import DistillRunner
from .warm_up import WarmUpLR

__all__ = [
    'AmpOptimWrapper',
    'ClassCheckHook',
    'DefaultOptimWrapperConstructor',
    'DistillRunner',
    'EpochSeedHook',
    'GradientCosineHook',
    'InputCheckHook',
    'InterruptHook',
    'LossCostHook',
    'LossGuardHook',
    'PortableCheckpointHook',
    'PreflightLoop',
    'ProgressHook',
    'ResumeHook',
    'RunRecordHook',
    'StudentEMAHook',
    'SummaryHook',
    'TeacherAgreementHook',
    'TeacherCheckHook',
    'TrainingDataHook',
    'WaitingHook',
    'WarmUpLR',
    'has_bfloat16',
    'latest_checkpoint',
    'plain_model',
]
