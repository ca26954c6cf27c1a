"""Weighted k-nearest-neighbour accuracy of embeddings."""

import torch
import torch.nn.functional as F

from hetkd.errors import UserError

from .precision import full_precision

_CHUNK = 2**24
"""Similarities that are held at a time."""


def knn_accuracy(
    embedding: torch.Tensor, target: torch.Tensor, k: int = 20, temperature: float = 0.07
) -> torch.Tensor:
    r"""Leave-one-out accuracy of a weighted k-nearest-neighbour classifier (arXiv 1805.01978, section 3.4).

    The k images with the most similar embeddings (cosine), the image itself left out, vote for their classes
    with weight :math:`\exp(\cos / \tau)`. As DINO's evaluation (arXiv 2104.14294), but for the neighbours,
    which there are training images.

    Args:
        embedding: (N, D).
        target: class indices (N,).
        k: number of neighbours, at most N - 1. Default 20 as in DINO.
        temperature: :math:`\tau > 0`. Default 0.07.

    Returns:
        Scalar in [0, 1], the share of images whose class has the most votes.

    Raises:
        UserError: fewer than 2 images, or k out of its range.
    """
    count = len(embedding)
    if not 1 <= k < count:
        raise UserError('kNN', f'k from 1 to {count - 1}, the number of images without the one itself', k)
    unit, classes = F.normalize(full_precision(embedding), dim=1), int(target.max()) + 1
    right = 0
    for places in torch.arange(count, device=unit.device).split(max(1, _CHUNK // count)):
        similarity = unit[places] @ unit.T
        similarity[torch.arange(len(places)), places] = -torch.inf
        nearest, index = similarity.topk(k)
        votes = torch.zeros(len(places), classes, device=unit.device)
        votes.scatter_add_(1, target[index], ((nearest - 1) / temperature).exp())
        right = right + (votes.argmax(1) == target[places]).sum()
    return right / count
