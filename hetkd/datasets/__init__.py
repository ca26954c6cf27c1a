"""Data sets and transforms beside mmpretrain's."""

from .check import broken_images, count_problem
from .digits import Digits
from .in_memory import InMemory, unheld
from .labels import check_labels, check_names, check_net, class_names
from .mirrored import Mirrored
from .tiny_imagenet import TinyImageNet
from .transforms import LoadImage, RandomSeeded

__all__ = [
    'Digits',
    'InMemory',
    'LoadImage',
    'Mirrored',
    'RandomSeeded',
    'TinyImageNet',
    'broken_images',
    'check_labels',
    'check_names',
    'check_net',
    'class_names',
    'count_problem',
    'unheld',
]
