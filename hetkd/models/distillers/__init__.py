"""Distillation algorithms."""

from .base import BaseDistiller
from .classifier import NetClassifier
from .feature import FeatureDistiller
from .hcd import HCD
from .logit import LogitDistiller
from .mldrkd import MLDRKD
from .teacher import FrozenTeacher

__all__ = [
    'HCD',
    'MLDRKD',
    'BaseDistiller',
    'FeatureDistiller',
    'FrozenTeacher',
    'LogitDistiller',
    'NetClassifier',
]
