"""Metrics beside mmpretrain's."""

from .calibration import CalibrationError

__all__ = ['CalibrationError']
