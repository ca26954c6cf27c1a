"""Distillation algorithms."""

from .base import BaseDistiller
from .cached_teacher import CachedTeacher
from .classifier import NetClassifier
from .feature import FeatureDistiller
from .hcd import HCD
from .logit import LogitDistiller
from .mldrkd import MLDRKD
from .ofa import OFA
from .teacher import FrozenTeacher

__all__ = [
    'HCD',
    'MLDRKD',
    'OFA',
    'BaseDistiller',
    'CachedTeacher',
    'FeatureDistiller',
    'FrozenTeacher',
    'LogitDistiller',
    'NetClassifier',
]
