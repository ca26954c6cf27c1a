"""Batched cropping, flipping and resizing, with other parameters for each image."""

from typing import Optional, Sequence

import torch

from .precision import without_autocast


def pool_matrix(size: int, out: int, like: torch.Tensor) -> torch.Tensor:
    """Matrix (out, size) of ``adaptive_avg_pool1d``, in the dtype of ``like``.

    Row i averages the entries from floor(i size / out) to ceil((i + 1) size / out) - 1. As a product it has a
    deterministic backward pass on GPUs, which torch's pooling lacks.

    Args:
        size: entries of the line.
        out: entries of the result.
        like: tensor whose device and dtype the matrix has.
    """
    row = torch.arange(out, device=like.device)[:, None]
    column = torch.arange(size, device=like.device)
    inside = (column >= row * size // out) & (column < -(-(row + 1) * size // out))
    return (inside / inside.sum(1, keepdim=True)).to(like.dtype)


def resize_matrix(
    start: torch.Tensor,
    length: torch.Tensor,
    size: int,
    out: int,
    cubic: bool = False,
) -> torch.Tensor:
    r"""Matrices that crop a part of a line of pixels and resize it as Pillow does.

    .. math::
        W_{ij} \propto f\left(\frac{j + 1/2 - c_i}{\max(s, 1)}\right), \quad s = \text{length} / \text{out},
        \quad c_i = \text{start} + (i + 1/2)\, s, \quad \sum_j W_{ij} = 1

    for pixels j of the part, 0 outside it. f is the triangle or Keys' cubic with a = -1/2, as in
    ``libImaging/Resample.c``; it is widened when the part is scaled down.

    Args:
        start, length: first pixel and number of pixels (N,) of the part, within the line.
        size: pixels of the line.
        out: pixels of the result.
        cubic: bicubic instead of bilinear. Default False.

    Returns:
        (N, out, size) float32; rows sum to 1.
    """
    # In float64, so that a value half-way between two levels is rounded as in Pillow.
    start, length = start.double()[:, None], length.double()[:, None]
    pixel = torch.arange(size, device=start.device).double() + 0.5
    # A pixel outside the part is infinitely far from all others.
    pixel = torch.where((pixel > start) & (pixel < start + length), pixel, torch.inf)
    step = length / out
    middle = start + (torch.arange(out, device=start.device).double() + 0.5) * step
    distance = (pixel[:, None] - middle[..., None]).abs() / step.clamp(min=1)[..., None]
    weight = (1 - distance).clamp(min=0)
    if cubic:
        # Keys' two pieces: u^2 (1 - 2u) + v^2 (v - 1) / 2 with u = max(1 - x, 0) and v = max(2 - x, 0).
        wide = (2 - distance).clamp(min=0)
        weight = weight.square() * (1 - 2 * weight) + wide.square() * (wide - 1) / 2
    return (weight / weight.sum(-1, keepdim=True)).float()


def cut(
    images: torch.Tensor,
    top: torch.Tensor,
    left: torch.Tensor,
    width: torch.Tensor,
    flip: torch.Tensor,
    size: Sequence[int],
) -> torch.Tensor:
    """Crop a part of each image to the top left corner of the result, flipped where asked.

    Beyond the border of an image its last pixels are repeated.

    Args:
        images: (N, C, H, W).
        top, left: first row and column (N,) of the parts, int64.
        width: width (N,) of the parts.
        flip: (N,) bool, which parts are flipped horizontally, within their width.
        size: height and width of the result, at least those of the parts.

    Returns:
        (N, C, height, width).
    """
    channels, rows, columns = images.shape[1:]
    y, x = (torch.arange(side, device=images.device) for side in size)
    y = (top[:, None] + y).clamp(max=rows - 1)
    x = left[:, None] + torch.where(flip[:, None], width[:, None] - 1 - x, x)
    place = y[:, :, None] * columns + x.clamp(0, columns - 1)[:, None]
    place = place.flatten(1)[:, None].expand(-1, channels, -1)
    return images.flatten(2).gather(2, place).unflatten(2, tuple(size))


@torch.no_grad()
@without_autocast
def resample(
    images: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
    mean: torch.Tensor,
    std: torch.Tensor,
    out: Optional[torch.Tensor] = None,
) -> torch.Tensor:
    r"""``(rows @ image @ columns^T - mean) / std`` of each image, the levels clipped to [0, 255].

    Levels are rounded and clipped between the two products, as in Pillow, and only clipped after the second.
    If they are rounded there too, they are within one level of Pillow's. Exceptions: values half-way between
    two levels in both passes (1 of 10^5 is 2 off), and some parts that shrink along one axis, where Pillow
    takes the products in the other order. Rows sum to 1, so the normalisation is done before the second
    product, where the images are still small.

    Args:
        images: (N, C, H, W), uint8 or floats in [0, 255].
        rows: (N, H', H) or (1, H', H), see :func:`resize_matrix`.
        columns: (N, W', W) or (1, W', W).
        mean, std: (C, 1, 1) float32, in levels.
        out: tensor to write to. Default: a new one.

    Returns:
        (N, C, H', W') float32.
    """
    if out is None:
        out = images.new_empty((*images.shape[:2], rows.shape[1], columns.shape[1]), dtype=torch.float32)
    lines = images.float().flatten(1, 2)
    across = (lines @ columns.transpose(1, 2)).unflatten(1, images.shape[1:3])
    across = across.add_(0.5).floor_().clamp_(0, 255).sub_(mean).div_(std)
    low, high = -mean / std, (255 - mean) / std
    rows = rows[:, None].expand(len(images), 1, -1, -1)
    # On a CPU one image per thread at a time, so that views stay in the cache between the passes.
    chunk = torch.get_num_threads() if images.device.type == 'cpu' else len(images)
    for part in range(0, len(images), chunk):
        target = out[part : part + chunk]
        torch.matmul(rows[part : part + chunk], across[part : part + chunk], out=target)
        # clamp_ with tensors as bounds takes five times as long.
        torch.minimum(torch.maximum(target, low, out=target), high, out=target)
    return out
