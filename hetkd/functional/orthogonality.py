"""HCD's orthogonality loss."""

import torch

from hetkd.errors import UserError

from .checks import check_classes
from .precision import full_precision, without_autocast
from .targets import target_class
from .unit import unit


def check_threshold(threshold: float) -> None:
    """Refuse a threshold outside [-1, 1], the range of a cosine."""
    if not -1 <= threshold <= 1:
        raise UserError('threshold', 'a cosine in [-1, 1]', repr(threshold), 'the default is 0.5')


@without_autocast
def orthogonality_loss(
    sub_logits: torch.Tensor, target: torch.Tensor, threshold: float = 0.5
) -> torch.Tensor:
    r"""HCD's penalty on similar sub-logits (arXiv 2511.10942; details second-hand, from a third-party port).

    .. math:: \mathrm{mean}_{n,\, j \ne m}\ \mathrm{ReLU}(\cos(s'_{nj}, s'_{nm}) - \theta)^2

    s' is s without the true class, which is dropped. (Masking it with a large negative number instead makes
    every cosine 1 and the loss a constant :math:`(1 - \theta)^2`.)

    Args:
        sub_logits: (..., N, n, C) with n sub-logits of each sample.
        target: class indices (N,), or probabilities (N, C) whose argmax is dropped (our decision for mixup).
        threshold: :math:`\theta` in [-1, 1]; cosines up to it add no loss. Default 0.5.

    Returns:
        Tensor of the leading shape (a scalar for (N, n, C)), in [0, (1 - threshold)^2]; 0 for n = 1.

    Raises:
        UserError: the threshold is outside [-1, 1], or C is less than 2.
    """
    check_threshold(threshold)
    excess = (sublogit_cosines(sub_logits, target) - threshold).relu().square()
    return mean_off_diagonal(excess).mean(-1)


@without_autocast
def sublogit_cosines(sub_logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cosines (..., N, n, n) between the sub-logits of each sample, without its true class.

    Args:
        sub_logits: (..., N, n, C) with n sub-logits of each sample.
        target: class indices (N,), or probabilities (N, C) whose argmax is dropped.

    Raises:
        UserError: C is less than 2.
    """
    *leading, samples, count, classes = sub_logits.shape
    check_classes('orthogonality', classes)
    target = target_class(target)
    # Indices of the other classes: 0..C-2, shifted by one from the true class on.
    others = torch.arange(classes - 1, device=target.device).expand(samples, -1)
    others = others + (others >= target[:, None])
    index = others[:, None, :].expand(*leading, samples, count, classes - 1)
    vectors = unit(full_precision(sub_logits).gather(-1, index))
    return vectors @ vectors.mT


def mean_off_diagonal(values: torch.Tensor) -> torch.Tensor:
    """Mean over the ordered pairs j != m of (..., n, n); 0 for n = 1."""
    count = values.shape[-1]
    total = values.sum((-2, -1)) - values.diagonal(dim1=-2, dim2=-1).sum(-1)
    return total / max(1, count * (count - 1))
