"""Parameters of state space models (initial values, A), and stochastic depth rates."""

import math

import torch


def dt_weight(weight: torch.Tensor, rank: int) -> None:
    """Initialise in place, uniformly in [-rank^-1/2, rank^-1/2]."""
    torch.nn.init.uniform_(weight, -(rank**-0.5), rank**-0.5)


def dt_bias(*shape: int) -> torch.Tensor:
    """Initial bias: its softplus is log-uniform in [1e-3, 0.1]."""
    steps = torch.exp(torch.rand(*shape) * (math.log(0.1) - math.log(1e-3)) + math.log(1e-3)).clamp(min=1e-4)
    return steps + torch.log(-torch.expm1(-steps))


def a_log(channels: int, states: int) -> torch.Tensor:
    """(channels, states) logarithms of 1, 2, ..., states: S4D-real initialisation, A = -exp(a_log)."""
    return torch.arange(1, states + 1, dtype=torch.float32).log().expand(channels, states).clone()


def decay_rates(logarithms: torch.Tensor) -> torch.Tensor:
    """A = -exp(a_log), in float32 at least."""
    return -logarithms.to(torch.promote_types(logarithms.dtype, torch.float32)).exp()


def drop_path_rates(last: float, depth: int) -> list[float]:
    """Stochastic depth rates, rising linearly from 0 to ``last``."""
    return [last * i / max(1, depth - 1) for i in range(depth)]
