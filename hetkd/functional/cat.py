"""Class attention transfer (CAT)."""

import torch
import torch.nn.functional as F

from hetkd.errors import UserError

from .precision import full_precision, without_autocast
from .resample import pool_matrix
from .unit import unit


@without_autocast
def cat_loss(student_map: torch.Tensor, teacher_map: torch.Tensor, resolution: int = 2) -> torch.Tensor:
    r"""Class attention transfer (CAT-KD, arXiv 2304.12777; read in the authors' code).

    .. math:: \mathrm{mean}\left[\left(\frac{A_s}{\|A_s\|} - \frac{A_t}{\|A_t\|}\right)^2\right], \qquad
              A = \mathrm{pool}(M), \quad M[n, c] = \sum_d W[c, d]\,F[n, d]

    M has a map for each class: the last linear layer W, without its bias, at each position of the last map F.
    Each is averaged to a grid of r x r cells (adaptive pooling) and divided by its Euclidean norm over the
    cells. The mean is over samples, classes and cells.

    Args:
        student_map: (N, C, H, W).
        teacher_map: (N, C, H', W'). Never receives a gradient.
        resolution: r >= 1. Default 2.

    Returns:
        Scalar in [0, 4 / r^2].

    Raises:
        UserError: another batch or number of classes, or a grid of fewer than r x r cells.
    """
    shapes = [tuple(x.shape) for x in (student_map, teacher_map)]
    if any(len(x) != 4 for x in shapes) or shapes[0][:2] != shapes[1][:2]:
        raise UserError(
            'CAT', 'class maps (N, C, H, W) of one batch and set of classes', ' and '.join(map(str, shapes))
        )
    if min(*shapes[0][2:], *shapes[1][2:]) < resolution:
        raise UserError(
            'CAT',
            f'class maps of at least {resolution} x {resolution} cells',
            f'student {shapes[0][2]} x {shapes[0][3]} and teacher {shapes[1][2]} x {shapes[1][3]}',
            'use larger images (input_size), a net of smaller stride, or a smaller resolution',
        )

    def attention(x):
        x = full_precision(x)
        rows, columns = (pool_matrix(size, resolution, x) for size in x.shape[2:])
        return unit((rows @ x @ columns.mT).flatten(2))

    return F.mse_loss(attention(student_map), attention(teacher_map.detach()))
