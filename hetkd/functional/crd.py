"""Contrastive representation distillation (CRD)."""

import math
from typing import Optional

import torch
import torch.nn.functional as F

from hetkd.errors import UserError

from .checks import check_temperature
from .one_pass import with_gradient
from .precision import full_precision, without_autocast

_CHUNK = 2**25  # scores of one chunk of anchors with all images: 128 MiB in float32


@without_autocast
def crd_loss(
    student_embedding: torch.Tensor,
    teacher_embedding: torch.Tensor,
    student_memory: torch.Tensor,
    teacher_memory: torch.Tensor,
    samples: torch.Tensor,
    temperature: float = 0.07,
    log_normalisers: Optional[torch.Tensor] = None,
) -> torch.Tensor:
    r"""Contrastive representation distillation (CRD, arXiv 1910.10699; read in the authors' code).

    Noise-contrastive estimation over M images: the embedding v of an image in one net must pick out the same
    image among K others in the memory of the OTHER net, whose vectors m are embeddings of earlier batches.

    .. math:: h(v, m) = e^{v^\top m / \tau} / Z, \qquad
              L = -\frac1N \sum_n \left[ \log\frac{h_+}{h_+ + K/M} +
              \sum_{k=1}^K \log\frac{K/M}{h_k + K/M} \right]

    The loss is summed over student and teacher anchors. Each term is computed as a softplus of a logit, so it
    is finite for any input. The gradient is computed together with the value: the memories may be updated in
    place before the backward pass. The result is differentiable once.

    Args:
        student_embedding: (N, D), unit vectors.
        teacher_embedding: (N, D), unit vectors. It gets a gradient, as its embedding layer is trained.
        student_memory, teacher_memory: (M, D), unit vectors of all images. Never receive a gradient.
        samples: (N, 1 + K) rows of the memories: the image itself, then its K negatives.
        temperature: tau > 0. Default 0.07.
        log_normalisers: log Z of student and teacher anchors; see :func:`crd_log_normalisers`.
            Default: computed from these samples.

    Returns:
        Scalar >= 0.

    Raises:
        UserError: shapes that do not fit, no negatives, or a temperature that is not a finite
            number > 0.
    """
    check_temperature(temperature)
    _check(student_embedding, teacher_embedding, student_memory, teacher_memory, samples)
    if log_normalisers is None:
        log_normalisers = crd_log_normalisers(
            student_embedding, teacher_embedding, student_memory, teacher_memory, samples, temperature
        )
    return _contrast(student_embedding, teacher_memory, samples, temperature, log_normalisers[0]) + _contrast(
        teacher_embedding, student_memory, samples, temperature, log_normalisers[1]
    )


@without_autocast
@torch.no_grad()
def crd_log_normalisers(
    student_embedding: torch.Tensor,
    teacher_embedding: torch.Tensor,
    student_memory: torch.Tensor,
    teacher_memory: torch.Tensor,
    samples: torch.Tensor,
    temperature: float = 0.07,
) -> torch.Tensor:
    """Logarithm of Z for student and teacher anchors, (2,): M times the mean of exp(v.m / tau).

    The authors take it from the first batch and keep it. Arguments: see :func:`crd_loss`.
    """
    _check(student_embedding, teacher_embedding, student_memory, teacher_memory, samples)
    pairs = ((student_embedding, teacher_memory), (teacher_embedding, student_memory))
    return torch.stack([_log_normaliser(*pair, samples, temperature) for pair in pairs])


def _contrast(anchor, memory, samples, temperature, log_normaliser):
    """The loss of the anchors of one net. Its backward pass does not read the memory, which may change."""
    anchor, count = full_precision(anchor), len(anchor)
    noise = log_normaliser + math.log((samples.shape[1] - 1) / len(memory))
    with torch.no_grad():
        loss, gradients = 0, []
        for part, chosen in _chunks(anchor, samples, len(memory)):
            logit = _scores(part, memory, chosen, temperature) - noise
            loss = loss + F.softplus(-logit[:, 0]).sum() + F.softplus(logit[:, 1:]).sum()
            slope = logit.sigmoid()
            slope[:, 0] -= 1
            spread = slope.new_zeros(len(part), len(memory)).scatter_add_(1, chosen, slope)
            gradients.append(spread @ memory / (temperature * count))
    return with_gradient(anchor, loss / count, torch.cat(gradients))


def _chunks(anchor, samples, images):
    """Pairs of anchors and their samples, few enough for a product with the whole memory."""
    step = max(1, _CHUNK // images)
    return zip(anchor.split(step), samples.split(step))


def _scores(anchor, memory, samples, temperature):
    # One product with the whole memory and a gather: N M numbers instead of N K D.
    return (anchor @ memory.T).gather(1, samples) / temperature


def _log_normaliser(anchor, memory, samples, temperature):
    parts = [
        _scores(part, memory, chosen, temperature).flatten().logsumexp(0)
        for part, chosen in _chunks(full_precision(anchor), samples, len(memory))
    ]
    return torch.stack(parts).logsumexp(0) - math.log(samples.numel()) + math.log(len(memory))


def _check(student, teacher, student_memory, teacher_memory, samples) -> None:
    if student.dim() != 2 or student.shape != teacher.shape:
        raise UserError(
            'CRD',
            'embeddings of one shape (N, D)',
            f'student {tuple(student.shape)} and teacher {tuple(teacher.shape)}',
            "set embedding_matcher=dict(type='ContrastHead')",
        )
    if not student_memory.shape == teacher_memory.shape == (len(student_memory), student.shape[1]):
        raise UserError(
            'CRD',
            f'memories (M, {student.shape[1]}) as wide as the embeddings',
            f'student {tuple(student_memory.shape)} and teacher {tuple(teacher_memory.shape)}',
            'give ContrastHead the out_channels that CRDLoss has as channels',
        )
    if samples.dim() != 2 or len(samples) != len(student) or samples.shape[1] < 2:
        raise UserError('CRD', f'samples ({len(student)}, 1 + K) with K >= 1 negatives', tuple(samples.shape))
