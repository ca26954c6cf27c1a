"""Tiny nets of each family, for tests of hetkd and of your own components."""

from .micro_nets import MICRO_FAMILIES, micro_net

__all__ = ['MICRO_FAMILIES', 'micro_net']
