"""The gradient of each loss term, for looking at."""

from typing import Mapping, Sequence

import torch


def term_gradients(
    losses: Mapping[str, torch.Tensor], parameters: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Flat gradient (P,) of each loss term with respect to all parameters; P is their number of entries.

    The graph is kept, and ``.grad`` is left alone. Zero where a term does not reach a parameter.

    Args:
        losses: scalars of one graph, by name.
        parameters: tensors that require a gradient.
    """
    found = {}
    for name, value in losses.items():
        grads = [None] * len(parameters)
        if value.requires_grad:
            grads = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        found[name] = torch.cat(
            [
                (torch.zeros_like(x) if grad is None else grad).flatten().float()
                for x, grad in zip(parameters, grads)
            ]
        )
    return found
