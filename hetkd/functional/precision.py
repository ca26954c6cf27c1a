"""The precision that the equations are computed in."""

from functools import wraps

import torch


def full_precision(logits: torch.Tensor) -> torch.Tensor:
    """Convert float16 and bfloat16 to float32; keep float32 and float64."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def without_autocast(function):
    """Decorator that turns autocast off, so that matrix products are not computed in half precision."""

    @wraps(function)
    def run(*args, **kwargs):
        first = next(x for x in (*args, *kwargs.values()) if torch.is_tensor(x))
        with torch.autocast(first.device.type, enabled=False):
            return function(*args, **kwargs)

    return run
