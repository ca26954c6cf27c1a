"""Centred kernel alignment (CKA), a similarity of two nets' representations."""

from typing import Iterable, Sequence

import torch

from hetkd.errors import UserError

from .precision import without_autocast


def linear_cka(
    batches: Iterable[tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]],
) -> torch.Tensor:
    r"""Linear CKA of each representation of one net with each of another.

    .. math:: \mathrm{CKA}(X, Y) = \frac{\sum_b \mathrm{HSIC}_1(K_b, L_b)}
        {\sqrt{\sum_b \mathrm{HSIC}_1(K_b, K_b)}\,\sqrt{\sum_b \mathrm{HSIC}_1(L_b, L_b)}},
        \qquad K = X X^\top,\ L = Y Y^\top

    Source: Kornblith et al. (ICML 2019, arXiv 1905.00414) for CKA; Nguyen et al. (ICLR 2021, arXiv
    2010.15327, equations 2 to 4) for the sums of the unbiased HSIC over minibatches. They need no kernel of
    all images, and the batch size adds no bias. Maps are flattened, as in both papers.

    Args:
        batches: for each minibatch of at least 4 images, the A representations of the one net and the B of
            the other, (N, ...) each; their widths may differ.

    Returns:
        (A, B) in float64: 1 for equal representations, up to orthogonal transforms and scale; near 0 for
        independent ones (a little below it is possible, since the estimate has no bias).

    Raises:
        UserError: no batch, or one of fewer than 4 images.
    """
    cross = first = second = 0
    for one, other in batches:
        grams, others = _grams(one), _grams(other)
        cross = cross + _hsic(grams, others)
        first = first + _hsic(grams, grams).diagonal()
        second = second + _hsic(others, others).diagonal()
    if not torch.is_tensor(cross):
        raise UserError('CKA', 'at least one batch', 'none')
    return cross / (first.clamp_min(0).sqrt()[:, None] * second.clamp_min(0).sqrt()).clamp_min(1e-300)


@without_autocast
def _gram(x: torch.Tensor) -> torch.Tensor:
    x = x.flatten(1)
    # HSIC_1 does not depend on the mean; subtracting it keeps float32 products accurate.
    x = x.float() - x.float().mean(0)
    return (x @ x.T).double()


def _grams(features: Sequence[torch.Tensor]) -> torch.Tensor:
    """(A, N, N) linear kernels with a zero diagonal."""
    if len(features[0]) < 4:
        raise UserError(
            'CKA',
            'at least 4 images in a batch, for the unbiased HSIC',
            len(features[0]),
            'use larger batches',
        )
    grams = torch.stack([_gram(x) for x in features])
    grams.diagonal(dim1=1, dim2=2).zero_()
    return grams


def _hsic(k: torch.Tensor, l: torch.Tensor) -> torch.Tensor:  # noqa: E741
    """Unbiased HSIC_1 (A, B) of kernels (A, N, N) and (B, N, N) with zero diagonals."""
    n = k.shape[-1]
    rows_k, rows_l = k.sum(2), l.sum(2)
    trace = k.flatten(1) @ l.flatten(1).T
    sums = rows_k.sum(1)[:, None] * rows_l.sum(1) / ((n - 1) * (n - 2))
    return (trace + sums - 2 / (n - 2) * (rows_k @ rows_l.T)) / (n * (n - 3))
