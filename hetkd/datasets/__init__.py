"""Data sets and transforms beside mmpretrain's."""

from .digits import Digits
from .tiny_imagenet import TinyImageNet
from .transforms import RandomSeeded

__all__ = ['Digits', 'RandomSeeded', 'TinyImageNet']
