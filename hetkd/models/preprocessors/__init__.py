"""From the data loader's batch to the nets' input."""

from .seeded import SeededPreprocessor

__all__ = ['SeededPreprocessor']
