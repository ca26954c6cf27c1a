"""L2 normalisation with a zero gradient at zero."""

import torch


def unit(x: torch.Tensor, dim: int = -1, eps: float = 1e-12) -> torch.Tensor:
    """Divide by the Euclidean length along ``dim``.

    A vector of length at most ``eps`` becomes 0 and gets no gradient. In ``F.normalize`` its gradient is of
    size 1 / eps.
    """
    squared = x.square().sum(dim, keepdim=True)
    short = squared <= eps**2  # false for NaN, which stays visible
    return torch.where(short, 0.0, x / torch.where(short, 1.0, squared).sqrt())
