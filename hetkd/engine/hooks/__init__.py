"""Hooks."""

from .agreement import TeacherAgreementHook
from .checkpoint import SafeCheckpointHook
from .class_check import ClassCheckHook
from .ema import StudentEMAHook
from .gradient_cosine import GradientCosineHook
from .loss_guard import LossGuardHook
from .progress import ProgressHook
from .run_record import RunRecordHook
from .seed import EpochSeedHook
from .teacher_check import TeacherCheckHook
from .training_data import TrainingDataHook

__all__ = [
    'ClassCheckHook',
    'EpochSeedHook',
    'GradientCosineHook',
    'LossGuardHook',
    'ProgressHook',
    'RunRecordHook',
    'SafeCheckpointHook',
    'StudentEMAHook',
    'TeacherAgreementHook',
    'TeacherCheckHook',
    'TrainingDataHook',
]
