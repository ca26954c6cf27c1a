"""DIST: Pearson correlations in place of the KL divergence."""

import torch
import torch.nn.functional as F

from .checks import check_classes, check_logits, check_samples, check_temperature
from .one_pass import with_gradient
from .precision import full_precision


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

    A row or column without variance (centred, of length at most 1e-6) has correlation 0 with anything, and no
    gradient. The authors' code adds 1e-8 to the product of the lengths, which fades out columns of rare
    classes where both nets are sure. The result is differentiable once.

    Args:
        student_logits: (N, C).
        teacher_logits: (N, C). Never receives a gradient.
        beta: weight of the correlation over classes (inter). Default 1.
        gamma: weight of the correlation over samples (intra). Default 1.
        temperature: T > 0. Default 1.

    Returns:
        Scalar in [0, 2 T^2 (beta + gamma)].

    Raises:
        UserError: shapes do not fit, one sample or one class only (nothing to correlate), or the temperature
            is not a finite number > 0.
    """  # noqa: E501
    check_logits(student_logits, teacher_logits)
    check_temperature(temperature)
    samples, classes = student_logits.shape
    check_samples('DIST', samples)
    check_classes('DIST', classes)
    student = full_precision(student_logits)
    with torch.no_grad():
        p, q = (
            F.softmax(student / temperature, dim=1),
            F.softmax(full_precision(teacher_logits) / temperature, dim=1),
        )
        inter, over_classes = _pearson(p, q, 1)
        intra, over_samples = _pearson(p, q, 0)
        loss = temperature**2 * (beta * (1 - inter) + gamma * (1 - intra))
        pull = over_classes.mul_(beta).add_(over_samples, alpha=gamma)
        # Backward through the softmax.
        gradient = pull.sub_((pull * p).sum(1, keepdim=True)).mul_(p).mul_(-temperature)
    return with_gradient(student, loss, gradient)


def _pearson(p: torch.Tensor, q: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of the correlations along ``dim``, and its gradient with respect to p."""
    p, q = p - p.mean(dim, keepdim=True), q - q.mean(dim, keepdim=True)
    one, other = _inverse_length(p, dim), _inverse_length(q, dim)
    q.mul_(one * other)
    correlation = (p * q).sum(dim, keepdim=True)
    return correlation.mean(), q.sub_(p.mul_(correlation * one.square())).div_(correlation.numel())


def _inverse_length(x: torch.Tensor, dim: int) -> torch.Tensor:
    length = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return torch.where(length <= 1e-6, 0.0, 1 / length)
