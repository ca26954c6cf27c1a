"""Linear CKA."""

from itertools import combinations

import pytest
import torch

from hetkd.errors import UserError
from hetkd.functional import linear_cka


def features(*widths, n=24):
    return [torch.randn(n, width, dtype=torch.float64) for width in widths]


def hsic(k, l):  # noqa: E741
    """Nguyen et al., equation 3, computed element by element."""
    n = len(k)
    k, l = (x - torch.diag(x.diagonal()) for x in (k, l))  # noqa: E741
    one = torch.ones(n, 1, dtype=k.dtype)
    first = torch.trace(k @ l)
    second = (one.T @ k @ one) * (one.T @ l @ one) / ((n - 1) * (n - 2))
    third = 2 / (n - 2) * (one.T @ k @ l @ one)
    return ((first + second - third) / (n * (n - 3))).item()


def transcription(batches, i, j):
    sums = [0.0, 0.0, 0.0]
    for xs, ys in batches:
        k, l = xs[i] @ xs[i].T, ys[j] @ ys[j].T  # noqa: E741
        for place, pair in enumerate([(k, l), (k, k), (l, l)]):
            sums[place] += hsic(*pair)
    return sums[0] / (sums[1] * sums[2]) ** 0.5


def test_it_equals_the_papers_formula_summed_over_batches():
    batches = [(features(5, 40), features(3, 7, 60)) for _ in range(3)]
    found = linear_cka(batches)
    assert found.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            assert found[i, j].item() == pytest.approx(transcription(batches, i, j), abs=1e-5)


def test_a_net_is_like_itself_up_to_rotation_scale_and_shift():
    (x,) = features(6)
    rotation = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    found = linear_cka([([x], [x, x @ rotation, 7 * x, x + 3])])
    torch.testing.assert_close(found, torch.ones(1, 4, dtype=torch.float64), atol=1e-5, rtol=0)


def test_it_is_not_invariant_to_any_linear_map_and_near_0_for_independent_nets():
    x, y = features(6, 6, n=400)
    stretched = x * torch.tensor([10.0, 1, 1, 1, 1, 1])
    same, independent = linear_cka([([x], [stretched, y])])[0]
    assert same < 0.8 and abs(independent) < 0.05


def test_small_batches_estimate_the_whole_without_bias():
    """The mean of HSIC_1 over all batches of 4 equals HSIC_1 of all images: it is a U-statistic."""
    x, y = features(3, 5, n=8)
    y[:, :3] += x
    batches = [([x[list(c)]], [y[list(c)]]) for c in combinations(range(8), 4)]
    torch.testing.assert_close(linear_cka(batches), linear_cka([([x], [y])]), atol=1e-5, rtol=0)


def test_maps_are_flattened():
    x = torch.randn(8, 3, 4, 4)
    y = torch.randn(8, 2, 2, 2)
    assert torch.equal(linear_cka([([x], [y])]), linear_cka([([x.flatten(1)], [y.flatten(1)])]))


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match='expected at least 4 images in a batch, .* got 3'):
        linear_cka([(features(2, n=3), features(2, n=3))])
    with pytest.raises(UserError, match='expected at least one batch, got none'):
        linear_cka([])
