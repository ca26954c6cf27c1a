"""Reference implementations of DFRA (MLDR-KD, arXiv 2502.06189): loops, and plain autograd.

With u = z / T of each net, N samples and C classes::

    R_cls[n] = u[n] u[n]^T / sqrt(C)         (C, C) for each sample n
    R_smp[c] = u[:, c] u[:, c]^T / sqrt(C)   (N, N) for each class c; sqrt(C) here too
    L_cls    = mean over (n, column) of KL(softmax of the teacher's column || the student's)
    L_smp    = mean over (c, column), the same way
    L_prob   = KL(p_t || p_s) at T, mean over n
    DFRA     = L_cls + L_smp + alpha L_prob
"""

import math

import torch

from .kd import divergence, kl_loops, kl_plain

PARTS = ('total', 'class_relation', 'sample_relation', 'probability')

STUDENT = [[1, -2, 0.5, 0], [0, 1, 2, -1], [0.3, 0.3, -0.7, 1.5]]
TEACHER = [[2, -1, 0, 0.5], [-0.5, 1.5, 2.5, -2], [0, 0.1, -1, 3]]
# By temperature, for alpha = 2; computed once, outside this package, from the authors' formulation.
VALUES = {
    1: dict(
        class_relation=0.15446814559594432,
        sample_relation=0.1439386998923535,
        probability=0.1353743941891042,
        total=0.5691556338265062,
    ),
    4: dict(
        class_relation=0.0012751328479077776,
        sample_relation=0.0016718354435485607,
        probability=0.015133079095895082,
        total=0.0332131264832465,
    ),
}


def relation_loops(student: torch.Tensor, teacher: torch.Tensor, scale: float) -> float:
    """Mean over items b and columns j of KL between the columns scale * x[b, j] * x[b], x (B, D)."""
    x_s, x_t = student.double().tolist(), teacher.double().tolist()
    items, dim = len(x_s), len(x_s[0])
    total = 0.0
    for b in range(items):
        for j in range(dim):
            column_s = [scale * x_s[b][k] * x_s[b][j] for k in range(dim)]
            column_t = [scale * x_t[b][k] * x_t[b][j] for k in range(dim)]
            total += divergence(column_s, column_t)
    return total / (items * dim)


def dfra_loops(student, teacher, temperature: float = 1.0, alpha: float = 2.0) -> dict[str, float]:
    """The four numbers of the formulas above, for (N, C) logits, in float64."""
    u_s, u_t = student.double() / temperature, teacher.double() / temperature
    scale = 1 / math.sqrt(u_s.shape[1])
    parts = dict(
        class_relation=relation_loops(u_s, u_t, scale),
        sample_relation=relation_loops(u_s.T, u_t.T, scale),
        probability=kl_loops(student, teacher, temperature),
    )
    total = parts['class_relation'] + parts['sample_relation'] + alpha * parts['probability']
    return dict(total=total, **parts)


def relation_plain(student: torch.Tensor, teacher: torch.Tensor, scale: float) -> torch.Tensor:
    """The formula of :func:`relation_loops` on (B, D) tensors, for autograd."""
    log_s = torch.log_softmax(scale * student[:, :, None] * student[:, None, :], dim=-2)
    log_t = torch.log_softmax(scale * teacher[:, :, None] * teacher[:, None, :], dim=-2)
    return (log_t.exp() * (log_t - log_s)).sum(dim=-2).mean()


def dfra_plain(student, teacher, temperature: float = 1.0, alpha: float = 2.0) -> dict[str, torch.Tensor]:
    """The formulas of :func:`dfra_loops` on (N, C) tensors, for autograd."""
    u_s, u_t = student / temperature, teacher / temperature
    scale = 1 / math.sqrt(u_s.shape[1])
    parts = dict(
        class_relation=relation_plain(u_s, u_t, scale),
        sample_relation=relation_plain(u_s.T, u_t.T, scale),
        probability=kl_plain(student, teacher, temperature),
    )
    total = parts['class_relation'] + parts['sample_relation'] + alpha * parts['probability']
    return dict(total=total, **parts)
