"""Relational knowledge distillation (RKD)."""

import torch
import torch.nn.functional as F

from .angles import angle_loss
from .checks import check_embeddings
from .precision import without_autocast

_EQUAL = 1e-3  # of the root mean square distance, or of 1 where that is less


@without_autocast
def rkd_loss(
    student_embedding: torch.Tensor,
    teacher_embedding: torch.Tensor,
    distance_weight: float = 25.0,
    angle_weight: float = 50.0,
) -> torch.Tensor:
    r"""Relational knowledge distillation (arXiv 1904.05068).

    Huber losses between the pairwise distances of both nets, each divided by its mean over pairs, and
    between the cosines of the angles of all triplets. The widths of the embeddings may differ.

    Distances and angles come from one Gram matrix of the centred embeddings, in float64. Samples count as
    equal (distance and cosines 0, no gradient between them) up to a distance of 0.001 max(1, root mean square
    distance). So no sample's gradient is longer than 4000 (distance_weight + angle_weight) / N. The result is
    differentiable once.

    Args:
        student_embedding: (N, D).
        teacher_embedding: (N, D'). Never receives a gradient.
        distance_weight: default 25, as in common code.
        angle_weight: default 50, as in the paper's ratio of 1 to 2.

    Returns:
        Scalar >= 0; 0 for equal geometries (the same up to a rotation, shift and scale).

    Raises:
        UserError: the batches differ, or hold one sample only.
    """
    check_embeddings('RKD', student_embedding, teacher_embedding)
    student, teacher = _squared_distances(student_embedding), _squared_distances(teacher_embedding.detach())
    distance = F.smooth_l1_loss(_distances(student), _distances(teacher))
    loss = distance_weight * distance + angle_weight * angle_loss(student, teacher)
    return loss.to(torch.promote_types(student_embedding.dtype, torch.float32))


def _squared_distances(x: torch.Tensor) -> torch.Tensor:
    """(N, N) in float64, 0 between samples that count as equal."""
    x = x.double()
    x = x - x.mean(0)  # keeps the products accurate
    gram = x @ x.T
    lengths = gram.diagonal()
    squared = lengths[:, None] + lengths - 2 * gram
    limit = _EQUAL**2 * squared.detach().mean().clamp(min=1)
    return torch.where(squared <= limit, 0.0, squared)


def _distances(squared: torch.Tensor) -> torch.Tensor:
    """(N, N) distances divided by their mean over pairs of different samples."""
    # sqrt has no gradient at 0, so equal samples are kept out of it.
    apart = squared != 0
    distances = torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)
    return distances / (distances.sum() / apart.sum().clamp(min=1)).clamp(min=_EQUAL)
