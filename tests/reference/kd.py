"""Reference implementations of KL and KD after the papers' formulas: loops, and plain autograd."""

import math

import torch


def log_softmax(values: list[float]) -> list[float]:
    """log p_k = v_k - log sum_i exp(v_i), with the largest value taken out first."""
    top = max(values)
    log_sum = top + math.log(sum(math.exp(v - top) for v in values))
    return [v - log_sum for v in values]


def divergence(student: list[float], teacher: list[float]) -> float:
    """KL(p_t || p_s) = sum_k p_t (log p_t - log p_s) of one pair of unnormalised log-distributions."""
    log_s, log_t = log_softmax(student), log_softmax(teacher)
    return sum(math.exp(t) * (t - s) for s, t in zip(log_s, log_t))


def kl_loops(student: torch.Tensor, teacher: torch.Tensor, temperature: float = 1.0) -> float:
    """KL(p_t || p_s) at T, p = softmax(z / T), mean over the N samples."""
    u_s = (student.double() / temperature).tolist()
    u_t = (teacher.double() / temperature).tolist()
    return sum(divergence(s, t) for s, t in zip(u_s, u_t)) / len(u_s)


def kd_loops(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> float:
    """T^2 KL(p_t || p_s) at T (arXiv 1503.02531, section 2)."""
    return temperature**2 * kl_loops(student, teacher, temperature)


def kl_plain(student: torch.Tensor, teacher: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """The formula of :func:`kl_loops` on (N, C) tensors, for autograd."""
    log_s = torch.log_softmax(student / temperature, dim=1)
    log_t = torch.log_softmax(teacher / temperature, dim=1)
    return (log_t.exp() * (log_t - log_s)).sum(dim=1).mean()


def kd_plain(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """The formula of :func:`kd_loops` on (N, C) tensors, for autograd."""
    return temperature**2 * kl_plain(student, teacher, temperature)
