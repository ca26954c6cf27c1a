"""Metrics that mmpretrain lacks."""

from .calibration import CalibrationError
from .predictions import DumpPredictions, read_predictions

__all__ = ['CalibrationError', 'DumpPredictions', 'read_predictions']
