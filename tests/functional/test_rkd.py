"""RKD from the Gram matrix against the form with all edges; bounds of its gradient."""

import pytest
import torch
import torch.nn.functional as F

from hetkd.errors import UserError
from hetkd.functional import angles, rkd, rkd_loss

F64 = torch.float64
D_WEIGHT, A_WEIGHT = 25.0, 50.0


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def plain(student, teacher, distance_weight=D_WEIGHT, angle_weight=A_WEIGHT):
    """The paper's equations on the edges (N, N, D) of batches without equal samples."""
    distances, cosines = [], []
    for x in (student, teacher):
        apart = ~torch.eye(len(x), dtype=torch.bool)
        edges = x[None] - x[:, None]
        length = torch.where(apart, edges.square().sum(-1).where(apart, 1.0).sqrt(), 0.0)
        distances.append(length / length[apart].mean())
        units = edges / length.where(apart, 1.0)[..., None]
        cosines.append(units @ units.mT)
    return distance_weight * F.smooth_l1_loss(*distances) + angle_weight * F.smooth_l1_loss(*cosines)


def both(loss, student, teacher, dtype):
    """Value and gradient in float64, of inputs in ``dtype``."""
    leaf = student.to(dtype).requires_grad_()
    value = loss(leaf, teacher.to(dtype))
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.double(), gradient.double()


def near_pairs(distance):
    x = normal(24, 40)
    x[12:] = x[:12] + distance * normal(12, 40, seed=2)
    return x


CASES = {
    'normal': (normal(32, 64), normal(32, 48, seed=1)),
    'far from the origin': (normal(32, 64) + 100, normal(32, 48, seed=1) - 300),
    'positive': (normal(32, 64).relu(), normal(32, 48, seed=1).relu()),
    'near pairs': (near_pairs(0.01), normal(24, 30, seed=3)),
    'near pairs of the teacher': (normal(24, 30, seed=3), near_pairs(0.01)),
    'an outlier': (normal(32, 64) + 100 * F.one_hot(torch.tensor([3]), 32).T, normal(32, 48, seed=1)),
}


@pytest.mark.parametrize('dtype, tolerance', [(F64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize('weights', [(D_WEIGHT, A_WEIGHT), (1.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize('case', CASES)
def test_value_and_gradient_are_those_of_the_edges(case, weights, dtype, tolerance):
    student, teacher = (x.to(dtype).to(F64) for x in CASES[case])  # the same numbers for both
    value, gradient = both(lambda s, t: rkd_loss(s, t, *weights), student, teacher, dtype)
    expected, slope = both(lambda s, t: plain(s, t, *weights), student, teacher, F64)
    assert value.item() == pytest.approx(expected.item(), rel=tolerance)
    assert (gradient - slope).abs().max() <= tolerance * slope.abs().max()


@pytest.mark.parametrize('weights', [(D_WEIGHT, A_WEIGHT), (1.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize('distance', [1.0, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-12, 0.0])
@pytest.mark.parametrize('kind', ['near equal', 'near zero'])
def test_no_samples_gradient_exceeds_the_limit(kind, distance, weights):
    student = near_pairs(distance) if kind == 'near equal' else distance * normal(24, 40)
    limit = 4000 * sum(weights) / len(student)
    for dtype in (torch.float32, F64):
        value, gradient = both(lambda s, t: rkd_loss(s, t, *weights), student, normal(24, 30, seed=3), dtype)
        assert value.isfinite() and gradient.norm(dim=1).max() <= limit


@pytest.mark.parametrize('size', [1e-2, 1.0, 1e4])
@pytest.mark.parametrize('factor, equal', [(0.9, True), (1.1, False)])
def test_samples_count_as_equal_up_to_a_thousandth_of_the_size_or_of_1(size, factor, equal):
    x = size * normal(8, 16)
    x[1] = x[0]
    limit = 1e-3 * max(1.0, torch.cdist(x, x).square().mean().sqrt().item())
    x[1, 0] += factor * limit
    assert (rkd._squared_distances(x)[0, 1].item() == 0) == equal


@pytest.mark.parametrize('budget', [1, 2 * 16**2, 16**3])
def test_chunks_do_not_change_the_result(monkeypatch, budget):
    student, teacher = normal(16, 8), normal(16, 6, seed=1)
    expected = both(rkd_loss, student, teacher, F64)
    monkeypatch.setitem(angles._CHUNK, 'cpu', budget)
    for got, whole in zip(both(rkd_loss, student, teacher, F64), expected):
        torch.testing.assert_close(got, whole, rtol=1e-12, atol=1e-12)


def test_nothing_larger_than_the_batch_is_kept_for_backward():
    kept = []
    student = normal(32, 16).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        rkd_loss(student, normal(32, 16, seed=1))
    assert max(kept) == 32 * 32


def test_a_second_derivative_is_refused():
    student = normal(6, 4).requires_grad_()
    with pytest.raises(UserError, match='create_graph=True'):
        torch.autograd.grad(rkd_loss(student, normal(6, 4, seed=1)), student, create_graph=True)
