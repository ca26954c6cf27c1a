"""Distillation algorithms."""

from .average_views import AverageViews
from .base import BaseDistiller
from .classifier import NetClassifier
from .feature import FeatureDistiller
from .frozen_teacher import FrozenTeacher
from .hcd import HCD
from .logit import LogitDistiller
from .mldrkd import MLDRKD
from .ofa import OFA
from .teacher import Teacher

__all__ = [
    'HCD',
    'MLDRKD',
    'OFA',
    'AverageViews',
    'BaseDistiller',
    'FeatureDistiller',
    'FrozenTeacher',
    'LogitDistiller',
    'NetClassifier',
    'Teacher',
]
