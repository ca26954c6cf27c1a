"""Attention transfer (AT)."""

import torch
import torch.nn.functional as F

from hetkd.errors import UserError

from .precision import full_precision
from .unit import unit


def at_loss(student_map: torch.Tensor, teacher_map: torch.Tensor) -> torch.Tensor:
    r"""Attention transfer (arXiv 1612.03928; with the mean of squares as in the authors' code).

    A map's attention is its mean square over the channels, flattened and divided by its norm; the loss is the
    mean squared difference of both nets' attentions. The widths may differ, the grids may not.

    Args:
        student_map: (N, C, H, W).
        teacher_map: (N, C', H, W). Never receives a gradient.

    Returns:
        Scalar >= 0.

    Raises:
        UserError: the grids differ.
    """
    if student_map.shape[0] != teacher_map.shape[0] or student_map.shape[2:] != teacher_map.shape[2:]:
        raise UserError(
            'AT',
            'maps of one batch and grid',
            f'student {tuple(student_map.shape)} and teacher {tuple(teacher_map.shape)}',
            'put a connector between them',
        )

    def attention(x):
        return unit(full_precision(x).square().mean(1).flatten(1))

    return F.mse_loss(attention(student_map), attention(teacher_map.detach()))
