"""Theorems, values and gradients of HCD's sub-logit losses."""

import pytest
import torch
import torch.nn.functional as F

from hetkd.errors import UserError
from hetkd.functional import orthogonality_loss, sublogit_ce, sublogit_kl
from tests.reference.dfra import STUDENT, TEACHER
from tests.reference.hcd import orthogonality_loops, sublogit_ce_loops, sublogit_kl_loops

F64 = torch.float64
Z = torch.tensor(STUDENT, dtype=F64)
Y = torch.tensor([0, 2, 3])
Q = torch.tensor(
    [
        [[0.2, -0.1, 0.4, 0], [-0.3, 0.5, 0.1, 0.2]],
        [[0.1, 0.1, -0.2, 0.3], [0.4, -0.4, 0, 0.1]],
        [[0, 0.2, 0.2, -0.5], [0.6, 0.1, -0.1, 0]],
    ],
    dtype=F64,
)
S = Q + torch.tensor(TEACHER, dtype=F64)[:, None]


def subs(*shape, seed=0, dtype=F64):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_the_worked_example():
    assert sublogit_ce(S, Y).item() == pytest.approx(0.5117914977371232, rel=1e-9)
    assert sublogit_kl(S, Z).item() == pytest.approx(0.09975345024554425, rel=1e-9)
    assert orthogonality_loss(S, Y).item() == pytest.approx(0.15887822042632602, rel=1e-9)
    assert orthogonality_loss(Q, Y).item() == 0


@pytest.mark.parametrize('shape', [(5, 4, 7), (2, 1, 3), (3, 2, 2)])
@pytest.mark.parametrize('temperature', [1.0, 3.0])
def test_values_equal_the_loops(shape, temperature):
    s, z = subs(*shape), subs(shape[0], shape[2], seed=1)
    y = torch.arange(shape[0]) % shape[2]
    assert sublogit_kl(s, z, temperature).item() == pytest.approx(sublogit_kl_loops(s, z, temperature))
    for smoothing in (0.0, 0.1):
        expected = sublogit_ce_loops(s, F.one_hot(y, shape[2]), smoothing)
        assert sublogit_ce(s, y, smoothing).item() == pytest.approx(expected)
    if shape[1] > 1:
        for threshold in (-1.0, 0.0, 0.5):
            expected = orthogonality_loops(s, y, threshold)
            assert orthogonality_loss(s, y, threshold).item() == pytest.approx(expected)


def test_gradcheck():
    s, z = subs(3, 2, 4).requires_grad_(), subs(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, z: sublogit_kl(s, z, 1.7), (s, z))
    assert torch.autograd.gradcheck(lambda s: sublogit_ce(s, Y), (s,))
    assert torch.autograd.gradcheck(lambda s: orthogonality_loss(s, Y, -0.2), (s,))


def test_stages_in_one_call_equal_stage_by_stage():
    s, z = subs(4, 3, 2, 4), subs(3, 4, seed=1)
    for function in (
        lambda x: sublogit_kl(x, z),
        lambda x: sublogit_ce(x, Y),
        lambda x: orthogonality_loss(x, Y),
    ):
        torch.testing.assert_close(function(s), torch.stack([function(x) for x in s]))


def test_the_true_class_does_not_matter_to_orthogonality():
    changed = S.clone()
    changed[torch.arange(3), :, Y] += 1e3
    assert orthogonality_loss(changed, Y) == orthogonality_loss(S, Y)


def test_identical_sub_logits_cost_the_most_and_one_costs_nothing():
    same = subs(3, 1, 4).expand(3, 4, 4)
    assert orthogonality_loss(same, Y, 0.5).item() == pytest.approx(0.25)
    assert orthogonality_loss(subs(3, 1, 4), Y).item() == 0


def test_orthogonal_sub_logits_cost_nothing_at_zero():
    s = torch.zeros(1, 2, 4, dtype=F64)
    s[0, 0, 1] = s[0, 1, 2] = 5.0
    assert orthogonality_loss(s, torch.tensor([0]), 0.0).item() == 0


def test_a_mixed_label_drops_its_largest_class():
    mixed = F.one_hot(Y, 4) * 0.6 + 0.1
    assert orthogonality_loss(S, mixed) == orthogonality_loss(S, Y)
    assert sublogit_ce(S, F.one_hot(Y, 4).to(F64)) == sublogit_ce(S, Y)


def test_kl_is_zero_where_all_agree():
    assert sublogit_kl(Z[:, None].expand(3, 4, 4), Z).item() == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_finite_at_200_and_in_float32(dtype):
    s = (200 * subs(3, 2, 4).sign()).to(dtype).requires_grad_()
    z = (200 * subs(3, 4, seed=1).sign()).to(dtype)
    total = sublogit_kl(s, z) + sublogit_ce(s, Y) + orthogonality_loss(s, Y)
    total.backward()
    assert total.dtype == torch.float32 and total.isfinite() and s.grad.isfinite().all()


def test_autocast_changes_nothing():
    s, z = S.float(), Z.float()
    losses = (lambda: orthogonality_loss(s, Y), lambda: sublogit_kl(s, z), lambda: sublogit_ce(s, Y))
    for loss in losses:
        with torch.autocast('cpu', dtype=torch.bfloat16):
            cast = loss()
        assert cast.dtype == torch.float32
        torch.testing.assert_close(cast, loss())


def test_all_equal_logits_are_finite():
    s = torch.zeros(3, 2, 4, requires_grad=True)
    orthogonality_loss(s, Y, -0.5).backward()
    assert s.grad.isfinite().all()


@pytest.mark.parametrize('threshold', [-1.1, 1.5])
def test_a_threshold_that_is_no_cosine_is_refused(threshold):
    with pytest.raises(UserError, match='threshold: expected a cosine'):
        orthogonality_loss(S, Y, threshold)


def test_shapes_and_temperature_are_checked():
    with pytest.raises(UserError, match='sub-logits: expected'):
        sublogit_kl(S, Z[:2])
    with pytest.raises(UserError, match='temperature'):
        sublogit_kl(S, Z, 0)
    with pytest.raises(UserError, match='at least 2 classes'):
        orthogonality_loss(torch.zeros(2, 2, 1), torch.zeros(2, dtype=torch.long))
