"""VkD's loss on projected features."""

import torch
import torch.nn.functional as F

from hetkd.errors import UserError

from .precision import full_precision


def vkd_loss(student_embedding: torch.Tensor, teacher_embedding: torch.Tensor) -> torch.Tensor:
    r"""Smooth L1 distance to the teacher's normalised features (VkD, arXiv 2403.06213; read in the code).

    .. math:: \mathrm{mean}\ h\left(P x_s - \mathrm{LN}(x_t)\right), \qquad
              h(d) = d^2 / 2 \text{ if } |d| < 1 \text{ else } |d| - 1/2

    LN is layer norm without weights: mean 0 and variance 1 over the channels, 1e-5 added to the variance.

    Args:
        student_embedding: (N, D): P x_s, projected to the teacher's width.
        teacher_embedding: (N, D). Never receives a gradient.

    Returns:
        Scalar >= 0.

    Raises:
        UserError: the shapes differ.
    """
    if student_embedding.dim() != 2 or student_embedding.shape != teacher_embedding.shape:
        raise UserError(
            'VkD',
            'features (N, D) of one batch and width',
            f'student {tuple(student_embedding.shape)} and teacher {tuple(teacher_embedding.shape)}',
            "set embedding_matcher=dict(type='OrthogonalProjector')",
        )
    teacher = full_precision(teacher_embedding.detach())
    return F.smooth_l1_loss(full_precision(student_embedding), F.layer_norm(teacher, teacher.shape[1:]))
