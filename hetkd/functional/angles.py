"""Huber loss between the angles of all triplets, from squared distances: value and gradient in one pass."""

import torch

from .one_pass import with_gradient

_CHUNK = {'cpu': 2**17}  # cosines of one chunk, in float64: 1 MiB on a CPU, 32 MiB on a GPU
_CHUNK_GPU = 2**22


def angle_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    r"""Mean over all triplets (i, j, k) of Huber(cos of the student's angle at i - the teacher's).

    By the law of cosines, with squared distances D and :math:`w = D^{-1/2}` (0 where D is 0),

    .. math:: a_{ijk} = w_{ij} w_{ik} (D_{ij} + D_{ik} - D_{jk}) / 2.

    With g the derivative of the mean by :math:`a_{ijk}`, symmetric in j and k, its gradient is

    .. math:: \frac{\partial}{\partial D_{ij}} = w_{ij} \sum_k g_{ijk} w_{ik}
              - w_{ij}^2 \sum_k g_{ijk} a_{ijk} - \tfrac12 \sum_l g_{lij} w_{li} w_{lj}.

    The vertices i are processed in chunks; nothing of size N^3 is kept.

    Args:
        student: squared distances (N, N) with a zero diagonal, float64. 0 where samples are equal: a cosine
            at or towards an equal sample is 0.
        teacher: the same. Never receives a gradient.

    Returns:
        Scalar >= 0, differentiable once.
    """
    with torch.no_grad():
        value, gradient = _pass(student, teacher)
    return with_gradient(student, value, gradient)


def _pass(student, teacher):
    samples = len(student)
    s, t = (torch.where(x == 0, torch.inf, x).rsqrt() for x in (student, teacher))
    value = student.new_zeros(())
    gradient, across = torch.empty_like(student), torch.zeros_like(student)
    step = max(1, _CHUNK.get(student.device.type, _CHUNK_GPU) // samples**2)
    for start in range(0, samples, step):
        part = slice(start, start + step)
        w = s[part]
        cosine = _cosines(student, s, part)
        difference = cosine - _cosines(teacher, t, part)
        slope = difference.clamp(-1, 1)
        value += (slope * difference.sub_(slope, alpha=0.5)).sum()
        gradient[part] = w * (slope @ w[:, :, None])[..., 0] - w.square() * cosine.mul_(slope).sum(2)
        across += slope.mul_(w[:, :, None]).mul_(w[:, None]).sum(0)
    return value / samples**3, gradient.sub_(across, alpha=0.5) / samples**3


def _cosines(squared, inverse, part):
    """(b, N, N) cosines at the vertices ``part``."""
    w = inverse[part]
    half = squared[part] * w / 2
    cosines = (w[:, :, None] * w[:, None]).mul_(squared)
    # w_j h_k + h_j w_k as one product of rank 2.
    left, right = torch.stack([half, w], 2), torch.stack([w, half], 1)
    return cosines.baddbmm_(left, right, beta=-0.5)
