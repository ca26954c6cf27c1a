"""Vectors of length 1."""

import torch


def unit(x: torch.Tensor, dim: int = -1, eps: float = 1e-12) -> torch.Tensor:
    """Divide by the Euclidean length along ``dim``.

    A vector no longer than ``eps`` becomes 0 and gets no gradient. ``F.normalize`` would give it one of the
    size 1 / eps.
    """
    squared = x.square().sum(dim, keepdim=True)
    long = squared > eps**2
    return torch.where(long, x / torch.where(long, squared, 1.0).sqrt(), 0.0)
