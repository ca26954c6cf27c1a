"""Classifiers that mmpretrain and timm lack."""

from .vim import Vim
from .vmamba import VMamba

__all__ = ['VMamba', 'Vim']
