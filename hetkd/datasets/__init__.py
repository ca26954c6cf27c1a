"""Data sets and transforms beside mmpretrain's."""

from .digits import Digits
from .transforms import RandomSeeded

__all__ = ['Digits', 'RandomSeeded']
