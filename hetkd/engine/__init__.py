"""Runner and hooks."""

from .hooks import ClassCheckHook, EpochSeedHook, LossGuardHook
from .runner import DistillRunner, own_checkpoint

__all__ = ['ClassCheckHook', 'DistillRunner', 'EpochSeedHook', 'LossGuardHook', 'own_checkpoint']
