"""Metrics that mmpretrain lacks."""

from .calibration import CalibrationError

__all__ = ['CalibrationError']
