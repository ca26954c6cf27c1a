"""Metrics that mmpretrain lacks."""

from .calibration import CalibrationError
from .knn import KNNAccuracy
from .predictions import DumpPredictions, read_predictions

__all__ = ['CalibrationError', 'DumpPredictions', 'KNNAccuracy', 'read_predictions']
