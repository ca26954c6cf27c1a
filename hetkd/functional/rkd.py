"""Relational knowledge distillation (RKD)."""

import torch
import torch.nn.functional as F

from .checks import check_embeddings, full_precision, without_autocast
from .unit import unit


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

    Args:
        student_embedding: (N, D).
        teacher_embedding: (N, D'). Never receives a gradient.
        distance_weight: default 25, as in common code.
        angle_weight: default 50, as in the paper's ratio of 1 to 2.

    Returns:
        Scalar >= 0; 0 for equal geometries (the same up to a rotation, shift and scale).

    Raises:
        ValueError: the batches differ, or hold one sample only.
    """
    check_embeddings('RKD', student_embedding, teacher_embedding)
    student, teacher = full_precision(student_embedding), full_precision(teacher_embedding.detach())
    distance = F.smooth_l1_loss(_distances(student), _distances(teacher))
    angle = F.smooth_l1_loss(_angles(student), _angles(teacher))
    return distance_weight * distance + angle_weight * angle


def _distances(x: torch.Tensor) -> torch.Tensor:
    """(N, N) distances divided by their mean over pairs of different samples."""
    squared = (x[:, None] - x[None]).square().sum(-1)
    # sqrt has no gradient at 0, so equal samples are kept out of it.
    apart = squared > 0
    distances = torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)
    return distances / (distances.sum() / apart.sum().clamp(min=1)).clamp(min=1e-12)


def _angles(x: torch.Tensor) -> torch.Tensor:
    """(N, N, N) cosine at vertex i of the triplet (j, i, k)."""
    edges = unit(x[None] - x[:, None])
    return edges @ edges.mT
