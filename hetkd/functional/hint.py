"""FitNet's hint loss."""

import torch
import torch.nn.functional as F

from hetkd.errors import UserError

from .precision import full_precision


def hint_loss(student_feature: torch.Tensor, teacher_feature: torch.Tensor) -> torch.Tensor:
    """Mean squared error between two feature tensors of one shape (FitNet, arXiv 1412.6550, eq. 3).

    Args:
        student_feature: any shape; the student's feature after its connector (the paper's regressor).
        teacher_feature: the same shape. Never receives a gradient.

    Returns:
        Scalar >= 0: the mean over all entries (the paper sums and halves; common code takes the mean).

    Raises:
        UserError: the shapes differ.
    """
    if student_feature.shape != teacher_feature.shape:
        raise UserError(
            'hint',
            'features of one shape',
            f'student {tuple(student_feature.shape)} and teacher {tuple(teacher_feature.shape)}',
            'put a connector between them',
        )
    return F.mse_loss(full_precision(student_feature), full_precision(teacher_feature.detach()))
