"""Transforms."""

from .load_image import LoadImage
from .seeded import RandomSeeded

__all__ = ['LoadImage', 'RandomSeeded']
