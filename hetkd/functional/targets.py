"""Labels as class indices, and as zeros and ones."""

import torch


def target_class(target: torch.Tensor) -> torch.Tensor:
    """Class indices (N,) from indices (N,) or probabilities (N, C); of mixed labels the most probable."""
    return target.argmax(1) if target.dim() == 2 else target


def one_hot(target: torch.Tensor, num_classes: int, dtype: torch.dtype) -> torch.Tensor:
    """Class indices (N,) as (N, C) of zeros and ones. ``F.one_hot`` waits for the device on some devices."""
    zeros = torch.zeros(len(target), num_classes, dtype=dtype, device=target.device)
    return zeros.scatter_(1, target[:, None], 1)
