"""Hooks."""

from .agreement import TeacherAgreementHook
from .class_check import ClassCheckHook
from .ema import StudentEMAHook
from .gradient_cosine import GradientCosineHook
from .input_check import InputCheckHook
from .interrupt import InterruptHook
from .loss_cost import LossCostHook
from .loss_guard import LossGuardHook
from .portable_checkpoint import PortableCheckpointHook
from .progress import ProgressHook
from .resume import ResumeHook
from .run_record import RunRecordHook
from .seed import EpochSeedHook
from .summary import SummaryHook
from .teacher_check import TeacherCheckHook
from .training_data import TrainingDataHook
from .waiting import WaitingHook

__all__ = [
    'ClassCheckHook',
    'EpochSeedHook',
    'GradientCosineHook',
    'InputCheckHook',
    'InterruptHook',
    'LossCostHook',
    'LossGuardHook',
    'PortableCheckpointHook',
    'ProgressHook',
    'ResumeHook',
    'RunRecordHook',
    'StudentEMAHook',
    'SummaryHook',
    'TeacherAgreementHook',
    'TeacherCheckHook',
    'TrainingDataHook',
    'WaitingHook',
]
