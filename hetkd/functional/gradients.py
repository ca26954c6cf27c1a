"""Gradients of the loss terms and their cosines, for diagnosis."""

from typing import Mapping, Sequence

import torch


def term_gradients(
    losses: Mapping[str, torch.Tensor], parameters: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Flat gradient (P,) of each loss term with respect to all parameters; P is their number of entries.

    The graph is kept and ``.grad`` is not changed. Zero where a term does not depend on a parameter.

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


def cosines_with_labels(gradients: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Cosine between the gradient of the label loss and that of each other term.

    Args:
        gradients: flat gradients (P,), by name of the term; the label loss is ``'loss_ce'``.

    Returns:
        Scalars in [-1, 1] by the name of the other term; empty without a label loss.
    """
    labels = gradients.get('loss_ce')
    others = {} if labels is None else {key: x for key, x in gradients.items() if key != 'loss_ce'}
    return {key: torch.cosine_similarity(labels, value, dim=0) for key, value in others.items()}
