"""Batched cropping, flipping and resizing, compared with Pillow."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from hetkd.functional import cut, pool_matrix, resample, resize_matrix

FILTERS = dict(bilinear=Image.Resampling.BILINEAR, bicubic=Image.Resampling.BICUBIC)
PLAIN = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)


def noise(count, height, width, seed=0):
    """Images of noise; every other one is black and white, so that cubics overshoot."""
    images = torch.from_numpy(
        np.random.default_rng(seed).integers(256, size=(count, 3, height, width), dtype=np.uint8)
    )
    images[::2] = torch.where(images[::2] > 127, 255, 0).to(torch.uint8)
    return images


def pillow(image, box, flip, size, name):
    """Crop and resize by Pillow: (3, *size)."""
    top, left, height, width = box
    part = Image.fromarray(image.permute(1, 2, 0).numpy()).crop((left, top, left + width, top + height))
    view = np.array(part.resize(size[::-1], FILTERS[name]))
    return torch.from_numpy(view[:, ::-1].copy() if flip else view).permute(2, 0, 1)


def boxes_in(image, count, square):
    """Random boxes, including the whole image, both corners and a single pixel."""
    rng = np.random.default_rng(0)
    boxes = []
    for number in range(count):
        height, width = (rng.integers(1, side + 1) for side in image)
        height, width = {0: image, 1: (1, 1)}.get(number, (height, height if square else width))
        top, left = rng.integers(0, image[0] - height + 1), rng.integers(0, image[1] - width + 1)
        if number == 2:
            top, left = 0, 0
        if number == 3:
            top, left = image[0] - height, image[1] - width
        boxes.append([int(x) for x in (top, left, height, width)])
    return boxes


@pytest.mark.parametrize('name', FILTERS)
@pytest.mark.parametrize(
    'image, size, square',
    [
        ((32, 32), (224, 224), False),
        ((64, 64), (224, 224), False),
        ((30, 48), (60, 64), False),
        ((32, 32), (7, 7), True),
        ((48, 48), (24, 24), True),
    ],
)
def test_parts_are_pillows_within_a_level(image, size, square, name):
    images, boxes = noise(60, *image), boxes_in(image, 60, square)
    top, left, height, width = torch.tensor(boxes).T
    flip = torch.arange(60) % 3 == 0
    rows = resize_matrix(torch.zeros(60), height, image[0], size[0], name == 'bicubic')
    columns = resize_matrix(torch.zeros(60), width, image[1], size[1], name == 'bicubic')
    got = resample(cut(images, top, left, width, flip, image), rows, columns, *PLAIN)
    expected = torch.stack([pillow(*x, size, name) for x in zip(images, boxes, flip.tolist())])
    assert got.shape == (60, 3, *size) and got.min() >= 0 and got.max() <= 255
    difference = (got.round() - expected).abs()
    # Values half-way between two levels depend on the last bits of Pillow's weights, in both passes.
    assert difference.max() <= 2 and (difference > 1).float().mean() < 5e-5 and difference.mean() < 0.03


@pytest.mark.parametrize('cubic', [False, True])
def test_a_part_within_a_line_is_the_part_itself(cubic):
    start, length = torch.tensor([0, 3, 9]), torch.tensor([5, 7, 1])
    inside = resize_matrix(start, length, 10, 12, cubic)
    for i in range(3):
        alone = resize_matrix(torch.zeros(1), length[i : i + 1], int(length[i]), 12, cubic)[0]
        padded = torch.zeros(12, 10)
        padded[:, start[i] : start[i] + length[i]] = alone
        assert torch.allclose(inside[i], padded, atol=1e-6)
    assert torch.allclose(inside.sum(-1), torch.ones(3, 12))


def test_a_part_of_its_own_size_is_not_changed():
    eye = resize_matrix(torch.zeros(1), torch.tensor([8]), 8, 8, True)
    assert torch.equal(eye[0], torch.eye(8))


def test_a_cut_is_a_slice_and_a_flip_mirrors_it():
    images = noise(2, 6, 9)
    top, left, width = torch.tensor([1, 2]), torch.tensor([0, 4]), torch.tensor([5, 5])
    got = cut(images, top, left, width, torch.tensor([False, True]), (4, 5))
    assert torch.equal(got[0], images[0, :, 1:5, :5])
    assert torch.equal(got[1], images[1, :, 2:6, 4:9].flip(-1))


def test_what_lies_beyond_the_border_repeats_the_border():
    got = cut(noise(1, 4, 4), *torch.tensor([[2], [3], [1]]), torch.tensor([False]), (4, 4))
    expected = noise(1, 4, 4)[:, :, [2, 3, 3, 3], 3:].expand(-1, -1, -1, 4)
    assert torch.equal(got, expected)


def test_the_normalisation_and_the_memory_change_nothing():
    images = noise(5, 8, 8)
    matrix = resize_matrix(torch.zeros(5), torch.tensor([3, 4, 5, 8, 8]), 8, 20, True)
    mean, std = torch.tensor([[120.0, 110, 100], [60, 55, 50]])[..., None, None]
    plain = resample(images, matrix, matrix, *PLAIN)
    out = torch.full((5, 3, 20, 20), torch.nan)
    got = resample(images, matrix, matrix, mean, std, out)
    assert got is out and torch.allclose(got * std + mean, plain, atol=1e-3)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(resample(images, matrix, matrix, mean, std), got)


def test_one_matrix_serves_all_images():
    images = noise(3, 8, 8)
    matrix = resize_matrix(torch.zeros(1), torch.tensor([8]), 8, 20)
    every = matrix.expand(3, -1, -1)
    assert torch.allclose(resample(images, matrix, matrix, *PLAIN), resample(images, every, every, *PLAIN))


@pytest.mark.parametrize('size, out', [(4, 4), (8, 4), (7, 3), (14, 5), (5, 1), (56, 7)])
def test_pooling_by_a_matrix_is_torchs_adaptive_pooling(size, out):
    x = torch.randn(2, 3, size, dtype=torch.float64)
    pooled = x @ pool_matrix(size, out, x).mT
    torch.testing.assert_close(pooled, F.adaptive_avg_pool1d(x, out))
