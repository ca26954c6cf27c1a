"""A project with a loss, which is registered when this package is imported."""

from .losses import CosineLoss

__all__ = ['CosineLoss']
