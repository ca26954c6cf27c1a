"""Redundancy suppression distillation (RSD)."""

import torch

from hetkd.errors import UserError

from .checks import check_embeddings
from .precision import full_precision, without_autocast


@without_autocast
def rsd_loss(
    student_embedding: torch.Tensor, teacher_embedding: torch.Tensor, kappa: float = 0.01
) -> torch.Tensor:
    r"""Redundancy suppression (RSD, arXiv 2507.21844; read in the authors' code).

    The loss pulls the cross-correlation of teacher and student dimensions over the batch to the identity: the
    diagonal to 1, which keeps what both architectures share, the rest to 0, which suppresses redundancy.

    .. math:: P = \frac1N \hat T^\top \hat S, \qquad
              L = \sum_i (P_{ii} - 1)^2 + \kappa \sum_{i \ne j} P_{ij}^2

    with each column of :math:`\hat S, \hat T` at mean 0 and standard deviation 1 over the batch (biased, 1e-5
    added to it, as in the authors' released code).

    Args:
        student_embedding: (N, D), already mapped to the teacher's width.
        teacher_embedding: (N, D). Never receives a gradient.
        kappa: weight of the off-diagonal, >= 0. Default 0.01.

    Returns:
        Scalar >= 0. A dimension that is constant over the batch contributes 1.

    Raises:
        UserError: the shapes differ, the batch holds one sample only, or kappa is negative.
    """
    if not kappa >= 0:
        raise UserError('RSD', 'kappa >= 0', repr(kappa), 'the authors use 0.01')
    check_embeddings('RSD', student_embedding, teacher_embedding)
    if student_embedding.shape != teacher_embedding.shape:
        raise UserError(
            'RSD',
            'embeddings of one width',
            f'student {student_embedding.shape[1]} and teacher {teacher_embedding.shape[1]}',
            "set embedding_matcher=dict(type='AAD')",
        )
    student, teacher = (
        _standardise(full_precision(x)) for x in (student_embedding, teacher_embedding.detach())
    )
    correlation = teacher.T @ student / len(student)
    diagonal = correlation.diagonal()
    redundancy = correlation.square().sum() - diagonal.square().sum()
    return (diagonal - 1).square().sum() + kappa * redundancy


def _standardise(x: torch.Tensor) -> torch.Tensor:
    """Columns at mean 0 and standard deviation 1; a constant column becomes 0 and gets no gradient."""
    centred = x - x.mean(0)
    variance = centred.square().mean(0)
    constant = variance <= 1e-12 * x.square().mean(0)  # up to rounding; false for NaN, which stays visible
    deviation = torch.where(constant, 1.0, variance).sqrt()
    return torch.where(constant, 0.0, centred / (deviation + 1e-5))
