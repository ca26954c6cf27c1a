"""Distillation algorithms."""

from .base import BaseDistiller
from .classifier import NetClassifier
from .feature import FeatureDistiller
from .logit import LogitDistiller
from .mldrkd import MLDRKD
from .teacher import FrozenTeacher

__all__ = [
    'MLDRKD',
    'BaseDistiller',
    'FeatureDistiller',
    'FrozenTeacher',
    'LogitDistiller',
    'NetClassifier',
]
