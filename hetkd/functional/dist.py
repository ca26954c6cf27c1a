"""DIST: Pearson correlations in place of the KL divergence."""

import torch
import torch.nn.functional as F

from .checks import check_logits, check_temperature, full_precision
from .unit import unit


def dist_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 1.0,
) -> torch.Tensor:
    r"""Distillation from a stronger teacher (DIST, arXiv 2205.10536).

    With p = softmax(z / T) and :math:`\rho` Pearson's correlation:

    .. math:: T^2 [\beta\,\mathrm{mean}_n (1 - \rho(p_s[n], p_t[n])) + \gamma\,\mathrm{mean}_c (1 - \rho(p_s[:, c], p_t[:, c]))]

    A row or column without variance has correlation 0 with anything, and no gradient.

    Args:
        student_logits: (N, C).
        teacher_logits: (N, C). Never receives a gradient.
        beta: weight of the correlation over classes (inter). Default 1.
        gamma: weight of the correlation over samples (intra). Default 1.
        temperature: T > 0. Default 1.

    Returns:
        Scalar in [0, 2 T^2 (beta + gamma)].

    Raises:
        ValueError: shapes do not fit, one sample only (no correlation between samples), or the temperature
            is not a finite number > 0.
    """  # noqa: E501
    check_logits(student_logits, teacher_logits)
    check_temperature(temperature)
    if student_logits.shape[0] < 2:
        raise ValueError(
            f'DIST: expected at least 2 samples in a batch, got {student_logits.shape[0]}; set '
            f'drop_last=True in the train_dataloader or a larger batch_size'
        )
    student = F.softmax(full_precision(student_logits) / temperature, dim=1)
    teacher = F.softmax(full_precision(teacher_logits.detach()) / temperature, dim=1)
    inter = 1 - _pearson(student, teacher).mean()
    intra = 1 - _pearson(student.T, teacher.T).mean()
    return temperature**2 * (beta * inter + gamma * intra)


def _pearson(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Correlation of each pair of rows."""
    a, b = (unit(x - x.mean(1, keepdim=True), eps=1e-6) for x in (a, b))
    return (a * b).sum(1)
