"""Hooks."""

from .class_check import ClassCheckHook
from .loss_guard import LossGuardHook
from .run_record import RunRecordHook
from .seed import EpochSeedHook
from .training_data import TrainingDataHook

__all__ = ['ClassCheckHook', 'EpochSeedHook', 'LossGuardHook', 'RunRecordHook', 'TrainingDataHook']
