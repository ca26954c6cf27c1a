"""Hooks."""

from .class_check import ClassCheckHook
from .loss_guard import LossGuardHook
from .seed import EpochSeedHook

__all__ = ['ClassCheckHook', 'EpochSeedHook', 'LossGuardHook']
