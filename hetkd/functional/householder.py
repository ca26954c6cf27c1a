"""Matrices with orthonormal columns, as products of Householder reflections."""

import torch


def householder_columns(vectors: torch.Tensor) -> torch.Tensor:
    r"""The first k columns of :math:`H_1 \cdots H_k`, with :math:`H_i = I - 2 v_i v_i^\top / \|v_i\|^2`.

    By :math:`H_1 \cdots H_k = I - V S^{-1} V^\top` with S the upper triangle of :math:`V^\top V`, its
    diagonal halved: a few matrix products and one triangular solve. ``torch.linalg.householder_product`` goes
    backward through the reflections one by one.

    Args:
        vectors: (n, k), n >= k. Column i is :math:`v_i` below its i-th entry, which is 1; what stands above
            is not read.

    Returns:
        (n, k), with orthonormal columns.
    """
    count = vectors.shape[1]
    identity = torch.eye(*vectors.shape, dtype=vectors.dtype, device=vectors.device)
    lower = vectors.tril(-1) + identity
    products = lower.mT @ lower
    triangle = products.triu(1) + torch.diag_embed(products.diagonal() / 2)
    return identity - lower @ torch.linalg.solve_triangular(triangle, lower[:count].mT, upper=True)
