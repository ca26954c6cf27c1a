"""Transforms."""

from .load_image import LoadImage
from .resizing import resize_filter
from .seeded import RandomSeeded

__all__ = ['LoadImage', 'RandomSeeded', 'resize_filter']
