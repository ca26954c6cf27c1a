"""Correlation congruence (CC)."""

import math

import torch
import torch.nn.functional as F

from .checks import check_embeddings
from .precision import full_precision, without_autocast
from .unit import unit


@without_autocast
def cc_loss(
    student_embedding: torch.Tensor, teacher_embedding: torch.Tensor, gamma: float = 0.4, order: int = 2
) -> torch.Tensor:
    r"""Correlation congruence (arXiv 1904.01802).

    Mean squared difference of the batch's correlation matrices under a Gaussian kernel, expanded to a
    Taylor polynomial on unit embeddings:

    .. math:: k(x, y) = \sum_{p=0}^{P} e^{-2\gamma} \frac{(2\gamma)^p}{p!} (x^\top y)^p

    Args:
        student_embedding: (N, D).
        teacher_embedding: (N, D'). Never receives a gradient.
        gamma: width parameter of the kernel, > 0. Default 0.4.
        order: P >= 1. Default 2.

    Returns:
        Scalar >= 0.

    Raises:
        UserError: the batches differ, or hold one sample only.
    """
    check_embeddings('CC', student_embedding, teacher_embedding)

    def kernel(x):
        vectors = unit(full_precision(x))
        cosine = vectors @ vectors.T
        return sum(
            math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) * cosine**p for p in range(order + 1)
        )

    return F.mse_loss(kernel(student_embedding), kernel(teacher_embedding.detach()))
