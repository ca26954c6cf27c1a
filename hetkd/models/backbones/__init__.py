"""Classifiers that mmpretrain and timm lack: Vim and VMamba."""

from .vim import Vim
from .vmamba import VMamba

__all__ = ['VMamba', 'Vim']
