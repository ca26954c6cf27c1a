"""Transforms."""

from .seeded import RandomSeeded

__all__ = ['RandomSeeded']
