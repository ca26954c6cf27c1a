"""A loss, registered by importing this package."""

from .losses import CosineLoss

__all__ = ['CosineLoss']
