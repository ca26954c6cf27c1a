"""Hooks."""

from .agreement import TeacherAgreementHook
from .checkpoint import SafeCheckpointHook
from .class_check import ClassCheckHook
from .ema import StudentEMAHook
from .gradient_cosine import GradientCosineHook
from .loss_guard import LossGuardHook
from .preflight import PreflightHook
from .progress import ProgressHook
from .run_record import RunRecordHook
from .seed import EpochSeedHook
from .training_data import TrainingDataHook

__all__ = [
    'ClassCheckHook',
    'EpochSeedHook',
    'GradientCosineHook',
    'LossGuardHook',
    'PreflightHook',
    'ProgressHook',
    'RunRecordHook',
    'SafeCheckpointHook',
    'StudentEMAHook',
    'TeacherAgreementHook',
    'TrainingDataHook',
]
