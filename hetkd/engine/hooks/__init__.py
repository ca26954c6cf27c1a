"""Hooks."""

from .class_check import ClassCheckHook
from .loss_guard import LossGuardHook
from .seed import EpochSeedHook
from .training_data import TrainingDataHook

__all__ = ['ClassCheckHook', 'EpochSeedHook', 'LossGuardHook', 'TrainingDataHook']
