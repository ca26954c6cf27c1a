"""DFRA (Decoupled Finegrained Relation Alignment), the loss of MLDR-KD."""

from typing import NamedTuple

import torch

from .checks import check_logits, check_samples, check_temperature
from .kl import kl_divergence
from .precision import full_precision
from .relation import relation_kl


class DFRA(NamedTuple):
    """Result of :func:`dfra_loss`; each a scalar, or of the student's leading shape."""

    total: torch.Tensor
    """The loss: the sum of the terms, with ``alpha`` on the last."""
    class_relation: torch.Tensor
    """Term of the class relations."""
    sample_relation: torch.Tensor
    """Term of the sample relations."""
    probability: torch.Tensor
    """KL divergence of the class probabilities."""


def dfra_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    temperature: float = 1.0,
    alpha: float = 2.0,
) -> DFRA:
    r"""Decoupled Finegrained Relation Alignment (MLDR-KD, arXiv 2502.06189; read in the authors' code).

    With u = z / T of each net:

    - class relation: :math:`R[n] = u_n u_n^\top / \sqrt C`, (C, C) for each sample n;
    - sample relation: :math:`R[c] = u_{:,c} u_{:,c}^\top / \sqrt C`, (N, N) for each class c (also
      :math:`\sqrt C`);
    - every column of R is a distribution (softmax over rows); the loss is the mean KL(teacher column ||
      student column);
    - probability: KL(p_t || p_s) at T.

    total = class_relation + sample_relation + alpha * probability. There is no factor :math:`T^2`.

    Args:
        student_logits: (N, C) or (..., N, C): leading dimensions hold several students (a net's logits,
            its stage logits, ...) compared with one teacher, whose terms are then computed once.
        teacher_logits: (N, C). Never receives a gradient.
        temperature: T > 0. Default 1 as in the authors' code.
        alpha: weight of the probability term. Default 2 as in the authors' code.

    Returns:
        A :class:`DFRA`; all zero when student and teacher are equal. Half-precision inputs are computed
        in float32.

    Raises:
        UserError: shapes do not fit, the temperature is not a finite number > 0, or N is 1 (a single
            sample has no sample relation).

    Note:
        The sample relation uses the local (per-process) batch, as the authors' code does.
    """
    check_logits(student_logits, teacher_logits)
    check_temperature(temperature)
    num_samples, num_classes = teacher_logits.shape
    check_samples('DFRA', num_samples)
    leading = student_logits.shape[:-2]
    student = full_precision(student_logits).reshape(-1, num_samples, num_classes) / temperature
    teacher = full_precision(teacher_logits.detach()).to(student.dtype) / temperature
    scale = num_classes**-0.5
    class_relation = relation_kl(student, teacher, scale)
    sample_relation = relation_kl(student.mT.contiguous(), teacher.mT.contiguous(), scale)
    probability = kl_divergence(student, teacher)
    total = class_relation + sample_relation + alpha * probability
    return DFRA(*(x.reshape(leading) for x in (total, class_relation, sample_relation, probability)))
