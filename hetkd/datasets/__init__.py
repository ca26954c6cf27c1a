"""Data sets and transforms beside mmpretrain's."""

from .check import broken_images, count_problem
from .concat import ConcatDataset
from .digits import Digits
from .in_memory import InMemory, unheld
from .labels import asks_for_unlabelled, check_labels, check_names, check_net, class_names
from .mirrored import Mirrored
from .samplers import SemiSupervisedSampler
from .tiny_imagenet import TinyImageNet
from .transforms import LoadImage, RandomSeeded

__all__ = [
    'ConcatDataset',
    'Digits',
    'InMemory',
    'LoadImage',
    'Mirrored',
    'RandomSeeded',
    'SemiSupervisedSampler',
    'TinyImageNet',
    'asks_for_unlabelled',
    'broken_images',
    'check_labels',
    'check_names',
    'check_net',
    'class_names',
    'count_problem',
    'unheld',
]
