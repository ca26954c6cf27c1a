"""Views of whole batches: which matrices cut and resize each image."""

import math
from functools import lru_cache
from typing import Optional, Sequence

import torch
import torch.nn.functional as F

from hetkd.arguments import Count, Natural, Share
from hetkd.devices import to_device
from hetkd.errors import UserError
from hetkd.functional import cut, resize_matrix
from hetkd.registry import BATCH_AUGMENTS

# mmpretrain's defaults, which the recipes keep.
ATTEMPTS = 10
LOG_ASPECT = math.log(4 / 3)
FILTERS = ('bilinear', 'bicubic')


@BATCH_AUGMENTS.register_module()
class BatchRandomResizedCrop:
    """mmpretrain's ``RandomResizedCrop`` (``backend='pillow'``) and ``RandomFlip``, a box for each image.

    A part of random area and of log-uniform aspect ratio in [3/4, 4/3] is drawn until it fits, ten times at
    most; then it is the middle of the image.

    Args:
        scale: side of the view in pixels.
        crop_ratio_range: area of the part, as a share of the image's. Default: 0.08 to 1.
        interpolations: filters, of which each image gets one at random. Default: both.
        flip: how often a view is mirrored. Default 0.5.

    Raises:
        UserError: another filter, or shares out of their range.
    """

    draws = 2 * ATTEMPTS + 4

    def __init__(
        self,
        scale: Count,
        crop_ratio_range: Sequence[float] = (0.08, 1.0),
        interpolations: Sequence[str] = FILTERS,
        flip: Share = 0.5,
    ):
        for name in interpolations:
            _check_filter(name)
        low, high = crop_ratio_range
        if not 0 < low <= high <= 1:
            raise UserError('crop_ratio_range', 'two shares, 0 < low <= high <= 1', list(crop_ratio_range))
        self.scale, self.crop_ratio_range, self.flip = scale, crop_ratio_range, flip
        self.cubic = torch.tensor([name == 'bicubic' for name in interpolations])

    def __call__(self, images: torch.Tensor, numbers: torch.Tensor):
        """The parts, and matrices that resize their rows and columns; see ``resample``."""
        size = images.shape[2:]
        flip = numbers[:, -2] < self.flip
        cubic = self.cubic[(numbers[:, -1] * len(self.cubic)).long()]
        drawn = to_device(torch.stack([*self.boxes(size, numbers), flip, cubic]).long(), images.device)
        top, left, height, width, flip, cubic = drawn
        rows, columns = (_matrices(side, self.scale, images.device) for side in size)
        parts = cut(images, top, left, width, flip.bool(), size)
        return parts, rows[cubic, height], columns[cubic, width]

    def boxes(self, size: Sequence[int], numbers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Top, left, height and width (N,) in images of ``size`` (H, W), from numbers (N, draws)."""
        low, high = self.crop_ratio_range
        area = (low + (high - low) * numbers[:, :ATTEMPTS]) * (size[0] * size[1])
        aspect = ((2 * numbers[:, ATTEMPTS : 2 * ATTEMPTS] - 1) * LOG_ASPECT).exp()
        height, width = (area / aspect).sqrt().round(), (area * aspect).sqrt().round()
        fits = (height > 0) & (height <= size[0]) & (width > 0) & (width <= size[1])
        # The first that fits, or the last column: the middle of the image.
        fits = F.pad(fits, (0, 1), value=True)
        first = fits.int().argmax(1, keepdim=True)
        middle = _middle(*size)
        height, width = (
            F.pad(x, (0, 1), value=whole).gather(1, first)[:, 0] for x, whole in zip((height, width), middle)
        )
        found = first[:, 0] < ATTEMPTS
        start = [
            torch.where(found, (numbers[:, 2 * ATTEMPTS + i] * (size[i] - x + 1)).floor(), (size[i] - x) // 2)
            for i, x in enumerate((height, width))
        ]
        return *start, height, width


@BATCH_AUGMENTS.register_module()
class BatchRandomCrop:
    """A black frame, a random part of the images' own size, and a flip; then, if asked for, another size.

    mmpretrain's ``RandomCrop(crop_size=image, padding=...)``, ``RandomFlip`` and ``Resize``.

    Args:
        padding: width of the frame in pixels.
        flip: how often a view is mirrored. Default 0.5.
        resize: side of the view in pixels. Default: that of the images.
        interpolation: filter of ``resize``. Default bilinear.

    Raises:
        UserError: another filter.
    """

    draws = 3

    def __init__(
        self,
        padding: Natural,
        flip: Share = 0.5,
        resize: Optional[Count] = None,
        interpolation: str = 'bilinear',
    ):
        _check_filter(interpolation)
        self.padding, self.flip, self.resize, self.interpolation = padding, flip, resize, interpolation

    def __call__(self, images: torch.Tensor, numbers: torch.Tensor):
        """The parts, and one matrix each for all rows and columns where they are resized."""
        size = images.shape[2:]
        start = (numbers[:, :2] * (2 * self.padding + 1)).floor()
        drawn = to_device(torch.cat([start, numbers[:, 2:] < self.flip], 1).long().T, images.device)
        top, left, flip = drawn
        width = torch.full_like(left, size[1])
        parts = cut(F.pad(images, [self.padding] * 4), top, left, width, flip.bool(), size)
        if self.resize is None:
            return parts, None, None
        zero = torch.zeros(1, device=images.device)
        cubic = self.interpolation == 'bicubic'
        return parts, *(resize_matrix(zero, zero + side, side, self.resize, cubic) for side in size)


@BATCH_AUGMENTS.register_module()
class BatchResizeCentreCrop:
    """mmpretrain's ``ResizeEdge(edge='short', backend='pillow')`` and ``CenterCrop``, as for testing.

    Args:
        resize: short side of the resized image, in pixels.
        crop: side of the view, no larger.
        interpolation: filter. Default bicubic.

    Raises:
        UserError: another filter, or a view larger than the resized image.
    """

    draws = 0

    def __init__(self, resize: Count, crop: Count, interpolation: str = 'bicubic'):
        _check_filter(interpolation)
        if crop > resize:
            raise UserError('crop', f'at most the {resize} pixels of the resized image', crop, 'raise resize')
        self.resize, self.crop, self.interpolation = resize, crop, interpolation

    def as_pipeline(self) -> list[dict]:
        """The transforms of single images that it stands for."""
        options = dict(edge='short', backend='pillow', interpolation=self.interpolation)
        return [
            dict(type='ResizeEdge', scale=self.resize, **options),
            dict(type='CenterCrop', crop_size=self.crop),
        ]

    def __call__(self, images: torch.Tensor, numbers: torch.Tensor):
        """The images, and one matrix each for all rows and columns; see ``resample``."""
        size = images.shape[2:]
        zero = torch.zeros(1, device=images.device)
        matrices = []
        for side in size:
            out = int(self.resize * side / min(size))
            first = round((out - self.crop) / 2)
            matrix = resize_matrix(zero, zero + side, side, out, self.interpolation == 'bicubic')
            matrices.append(matrix[:, first : first + self.crop])
        return images, *matrices


def _middle(height: int, width: int) -> tuple[int, int]:
    """Height and width of the largest part of an aspect ratio in range."""
    most = math.exp(LOG_ASPECT)
    if width / height < 1 / most:
        return round(width * most), width
    if width / height > most:
        return height, round(height * most)
    return height, width


@lru_cache
def _matrices(side: int, out: int, device: torch.device) -> torch.Tensor:
    """Matrices (2, side + 1, out, side) that resize the first pixels of a line, by filter and their number.

    Nobody asks for a part of no pixels.
    """
    length = torch.arange(side + 1, device=device)
    return torch.stack(
        [resize_matrix(torch.zeros_like(length), length, side, out, name == 'bicubic') for name in FILTERS]
    )


def _check_filter(name: str) -> None:
    if name not in FILTERS:
        raise UserError('interpolation', f'one of {FILTERS}', repr(name))
