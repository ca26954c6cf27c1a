"""Baseline losses: reference transcriptions, limits, gradients, extreme inputs."""

import math
import statistics

import pytest
import torch
import torch.nn.functional as F

from hetkd.errors import UserError
from hetkd.functional import (
    at_loss,
    cat_loss,
    cc_loss,
    crd,
    crd_log_normalisers,
    crd_loss,
    dist_loss,
    dkd_loss,
    kd_loss,
    ofa_loss,
    rkd_loss,
    rld_loss,
    rsd_loss,
    standardise_logits,
    vkd_loss,
)
from hetkd.functional.unit import unit
from tests.reference import baselines

F64 = torch.float64


def logits(*shape, seed=0):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


S, T, Y = logits(5, 7), logits(5, 7, seed=1), torch.tensor([0, 6, 3, 3, 2])
WIDE = logits(5, 11, seed=2)
MAPS = logits(3, 4, 2, 3), logits(3, 6, 2, 3, seed=1)
CLASS_MAPS = logits(3, 4, 2, 3), logits(3, 4, 5, 4, seed=1)
# Embeddings of 3 images and memories of 9, as unit vectors; each image and its 4 negatives.
CRD = [F.normalize(logits(n, 6, seed=n + i), dim=1) for n in (3, 9) for i in range(2)]
SAMPLES = torch.tensor([[2, 0, 1, 8, 8], [5, 7, 6, 0, 1], [0, 3, 4, 5, 6]])

CASES = {
    'dkd': (lambda: dkd_loss(S, T, Y), lambda: baselines.dkd_loops(S, T, Y, 1, 8, 4)),
    'dkd-options': (lambda: dkd_loss(S, T, Y, 0.5, 2, 1), lambda: baselines.dkd_loops(S, T, Y, 0.5, 2, 1)),
    'dist': (lambda: dist_loss(S, T), lambda: baselines.dist_loops(S, T, 1, 1, 1)),
    'dist-options': (lambda: dist_loss(S, T, 2, 3, 4), lambda: baselines.dist_loops(S, T, 2, 3, 4)),
    'ofa': (lambda: ofa_loss(S, T, Y), lambda: baselines.ofa_loops(S, T, Y, 1, 1)),
    'ofa-options': (lambda: ofa_loss(S, T, Y, 1.5, 2), lambda: baselines.ofa_loops(S, T, Y, 1.5, 2)),
    'rkd': (lambda: rkd_loss(S, WIDE), lambda: baselines.rkd_loops(S, WIDE, 25, 50)),
    'rkd-distance': (lambda: rkd_loss(S, WIDE, 1, 0), lambda: baselines.rkd_loops(S, WIDE, 1, 0)),
    'rkd-angle': (lambda: rkd_loss(S, WIDE, 0, 1), lambda: baselines.rkd_loops(S, WIDE, 0, 1)),
    'cc': (lambda: cc_loss(S, WIDE), lambda: baselines.cc_loops(S, WIDE, 0.4, 2)),
    'cc-options': (lambda: cc_loss(S, WIDE, 1.0, 3), lambda: baselines.cc_loops(S, WIDE, 1.0, 3)),
    'at': (lambda: at_loss(*MAPS), lambda: baselines.at_loops(*MAPS)),
    'cat': (lambda: cat_loss(*CLASS_MAPS), lambda: baselines.cat_loops(*CLASS_MAPS, 2)),
    'cat-options': (lambda: cat_loss(*CLASS_MAPS, 1), lambda: baselines.cat_loops(*CLASS_MAPS, 1)),
    'rsd': (lambda: rsd_loss(S, T), lambda: baselines.rsd_loops(S, T, 0.01)),
    'rsd-options': (lambda: rsd_loss(S, T, 0.5), lambda: baselines.rsd_loops(S, T, 0.5)),
    'rld': (lambda: rld_loss(S, T, Y), lambda: baselines.rld_loops(S, T, Y, 1, 8, 4, 1)),
    'rld-options': (
        lambda: rld_loss(S, T, Y, 0.5, 2, 3, 2),
        lambda: baselines.rld_loops(S, T, Y, 0.5, 2, 3, 2),
    ),
    'vkd': (lambda: vkd_loss(S, T), lambda: baselines.vkd_loops(S, T)),
    'crd': (lambda: crd_loss(*CRD, SAMPLES), lambda: baselines.crd_loops(*CRD, SAMPLES, 0.07)),
    'crd-options': (lambda: crd_loss(*CRD, SAMPLES, 0.5), lambda: baselines.crd_loops(*CRD, SAMPLES, 0.5)),
}
LOGIT = {
    'dkd': lambda s, t: dkd_loss(s, t, torch.arange(len(s)) % s.shape[1]),
    'dist': dist_loss,
    'ofa': lambda s, t: ofa_loss(s, t, torch.arange(len(s)) % s.shape[1], 1.5),
    'rld': lambda s, t: rld_loss(s, t, torch.arange(len(s)) % s.shape[1]),
    'standardised kd': lambda s, t: kd_loss(standardise_logits(s), standardise_logits(t), 2.0),
}
RELATIONAL = {'rkd': rkd_loss, 'cc': cc_loss, 'rsd': rsd_loss}
ALL = LOGIT | RELATIONAL | {'vkd': vkd_loss}


@pytest.mark.parametrize('name', CASES)
def test_value_equals_the_transcription(name):
    ours, theirs = CASES[name]
    assert ours().item() == pytest.approx(theirs(), rel=1e-9)


@pytest.mark.parametrize('name', ALL)
def test_gradcheck(name):
    student = logits(4, 5, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: ALL[name](s, logits(4, 5, seed=4)), (student,))


@pytest.mark.parametrize('loss, maps', [(at_loss, MAPS), (cat_loss, CLASS_MAPS)], ids=['at', 'cat'])
def test_gradcheck_of_losses_on_maps(loss, maps):
    student = maps[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, maps[1]), (student,))
    teacher = maps[1].clone().requires_grad_()
    loss(student, teacher).backward()
    assert teacher.grad is None


def test_cat_sees_no_scale_of_a_class_map_and_opposite_ones_cost_most():
    student = CLASS_MAPS[0] * torch.rand(3, 4, 1, 1, dtype=F64)
    assert cat_loss(student, CLASS_MAPS[0]).item() == pytest.approx(0, abs=1e-12)
    assert cat_loss(-student, CLASS_MAPS[0]).item() == pytest.approx(1)


@pytest.mark.parametrize('name', [name for name in ALL if name not in ('ofa', 'rld', 'rsd', 'vkd')])
def test_equal_nets_cost_nothing(name):
    assert ALL[name](S, S).item() == pytest.approx(0, abs=1e-12)


def test_dkd_of_one_sample_with_the_teachers_own_weight_is_kd():
    for n in range(len(S)):
        s, t, y = S[n : n + 1], T[n : n + 1], Y[n : n + 1]
        others = 1 - F.softmax(t / 4, dim=1)[0, y].item()
        assert dkd_loss(s, t, y, 1.0, others, 4.0).item() == pytest.approx(kd_loss(s, t, 4.0).item())


def test_rld_of_a_teacher_that_is_right_is_dkd():
    student = S.clone().requires_grad_()
    right = T.argmax(1)
    losses = [
        rld_loss(student, T, right, 0.5, 2.0, 3.0, 3.0),
        dkd_loss(student, T, right, 0.5, 2.0, 3.0),
    ]
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*[torch.autograd.grad(x, student)[0] for x in losses])
    assert rld_loss(T, T, right).item() == pytest.approx(0, abs=1e-12)


def test_rld_learns_nothing_from_classes_that_the_teacher_ranks_above_the_true_one():
    student = S.clone().requires_grad_()
    rld_loss(student, T, Y, alpha=0.0).backward()
    above = T.gather(1, Y[:, None]) <= T
    assert above.sum() > len(Y), 'some teacher is wrong'
    assert not student.grad[above].any() and student.grad[~above].any()


def test_rld_of_a_true_class_that_is_the_teachers_last_has_no_second_part():
    student, last = S.clone().requires_grad_(), T.argmin(1)
    loss = rld_loss(student, T, last, alpha=0.0)
    loss.backward()
    assert loss.item() == 0 and not student.grad.any()
    assert rld_loss(S, T, last).item() == pytest.approx(baselines.rld_loops(S, T, last, 1, 8, 4, 1))


def test_ofa_at_eps_1_is_cross_entropy_with_the_teacher():
    expected = F.cross_entropy(S, T.softmax(1))
    assert ofa_loss(S, T, Y, 1.0).item() == pytest.approx(expected.item())


def test_ofa_takes_several_students_at_once():
    stages = logits(3, 5, 7, seed=5)
    torch.testing.assert_close(
        ofa_loss(stages, T, Y, 1.5), torch.stack([ofa_loss(x, T, Y, 1.5) for x in stages])
    )


def test_mixed_labels_take_the_largest_class():
    mixed = F.one_hot(Y, 7) * 0.5 + 0.5 / 7
    assert dkd_loss(S, T, mixed) == dkd_loss(S, T, Y)
    assert ofa_loss(S, T, mixed, 1.5) == ofa_loss(S, T, Y, 1.5)
    assert rld_loss(S, T, mixed) == rld_loss(S, T, Y)


def test_rkd_does_not_see_rotation_shift_and_scale():
    rotation = torch.linalg.qr(logits(7, 7, seed=6)).Q
    assert rkd_loss(3 * S @ rotation + 1, S).item() == pytest.approx(0, abs=1e-10)


def test_vkd_sees_no_shift_and_scale_of_the_teacher_and_is_0_at_its_layer_norm():
    assert vkd_loss(F.layer_norm(T, (7,)), T).item() == 0
    assert vkd_loss(S, 50 * T + 3).item() == pytest.approx(vkd_loss(S, 40 * T).item(), rel=1e-4)


def test_rsd_of_equal_embeddings_with_uncorrelated_columns_is_0():
    columns = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=F64)
    assert rsd_loss(3 * columns + 2, columns).item() == pytest.approx(0, abs=1e-8)


def test_rsd_counts_what_repeats_itself_with_kappa():
    """Two equal columns: both off-diagonal correlations are 1."""
    twice = S[:, :1].repeat(1, 2)
    assert rsd_loss(twice, twice, 0.3).item() == pytest.approx(0.6, abs=1e-4)
    assert rsd_loss(-twice, twice, 0.0).item() == pytest.approx(8, abs=1e-3)


def test_a_column_that_does_not_vary_costs_1_and_gets_no_gradient_from_rsd():
    student = torch.cat([S[:, :1], torch.ones(5, 1)], 1).requires_grad_()
    loss = rsd_loss(student, student.detach(), 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(1, abs=1e-6) and not student.grad[:, 1].any()


def test_crd_is_two_binary_cross_entropies():
    student, teacher, student_memory, teacher_memory = CRD
    log_z = torch.tensor([0.3, 1.2], dtype=F64)
    expected = 0
    for anchor, memory, z in ((student, teacher_memory, log_z[0]), (teacher, student_memory, log_z[1])):
        logit = torch.einsum('nd,nkd->nk', anchor, memory[SAMPLES]) / 0.07 - z - math.log(4 / 9)
        truth = torch.zeros_like(logit)
        truth[:, 0] = 1
        expected += F.binary_cross_entropy_with_logits(logit, truth, reduction='sum') / len(logit)
    torch.testing.assert_close(crd_loss(*CRD, SAMPLES, 0.07, log_z), expected)


def test_crds_normaliser_is_the_memorys_size_times_the_mean_score():
    scores = torch.einsum('nd,nkd->nk', CRD[0], CRD[3][SAMPLES]) / 0.2
    expected = 9 * scores.exp().mean()
    assert crd_log_normalisers(*CRD, SAMPLES, 0.2)[0].exp().item() == pytest.approx(expected.item())


def test_crds_gradient():
    log_z = crd_log_normalisers(*CRD, SAMPLES)
    leaves = [x.clone().requires_grad_() for x in CRD[:2]]
    assert torch.autograd.gradcheck(lambda s, t: crd_loss(s, t, *CRD[2:], SAMPLES, 0.07, log_z), leaves)


@pytest.mark.parametrize('budget', [1, 2 * 9])
def test_chunks_do_not_change_crd(monkeypatch, budget):
    def evaluate():
        leaves = [x.clone().requires_grad_() for x in CRD[:2]]
        loss = crd_loss(*leaves, *CRD[2:], SAMPLES)
        return loss, *torch.autograd.grad(loss, leaves)

    whole = evaluate()
    monkeypatch.setattr(crd, '_CHUNK', budget)
    torch.testing.assert_close(evaluate(), whole, rtol=1e-12, atol=1e-12)


def test_crds_memories_may_change_before_the_backward_pass():
    gradients = []
    for change in (False, True):
        student, memories = CRD[0].clone().requires_grad_(), [x.clone() for x in CRD[2:]]
        loss = crd_loss(student, CRD[1], *memories, SAMPLES)
        for memory in memories:
            memory.mul_(1 - change)
        gradients.append(torch.autograd.grad(loss, student)[0])
    assert gradients[0].any() and torch.equal(*gradients)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_crd_is_finite_far_out_and_in_float32_under_autocast(dtype):
    student, teacher, *memories = [x.float() for x in CRD]
    leaf = (200 * student).to(dtype).requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = crd_loss(leaf, 200 * teacher, *memories, SAMPLES)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite() and leaf.grad.isfinite().all()


def test_crds_memories_get_no_gradient_and_autocast_does_not_touch_its_normalisers():
    memories = [x.clone().requires_grad_() for x in CRD[2:]]
    student = CRD[0].clone().requires_grad_()
    crd_loss(student, CRD[1], *memories, SAMPLES).backward()
    assert student.grad is not None and all(x.grad is None for x in memories)
    floats = [x.float() for x in CRD]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = crd_log_normalisers(*floats, SAMPLES)
    assert torch.equal(inside, crd_log_normalisers(*floats, SAMPLES))


def test_unit_vectors_are_of_length_1_down_to_1e_12_and_then_0():
    for size, length in ((1e-3, 1.0), (1e-8, 1.0), (1e-13, 0.0), (0.0, 0.0)):
        assert unit(torch.full((1, 4), size, dtype=F64)).norm().item() == pytest.approx(length)


def test_dist_does_not_see_a_shift_of_the_logits():
    assert dist_loss(S + 3, T).item() == pytest.approx(dist_loss(S, T).item())


def test_standardised_logits_have_mean_0_and_deviation_1():
    rows = standardise_logits(S).tolist()
    assert [statistics.mean(x) for x in rows] == pytest.approx([0] * 5, abs=1e-6)
    assert [statistics.stdev(x) for x in rows] == pytest.approx([1] * 5, abs=1e-6)
    torch.testing.assert_close(standardise_logits(5 * S - 2), standardise_logits(S), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_finite_at_200_and_in_float32(name, dtype):
    student = (200 * S.sign()).to(dtype).requires_grad_()
    loss = ALL[name](student, (200 * T.sign()).to(dtype))
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite() and student.grad.isfinite().all()


@pytest.mark.parametrize('name', ALL)
def test_autocast_changes_nothing(name):
    student, teacher = S.float(), T.float()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = ALL[name](student, teacher)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, ALL[name](student, teacher))


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('value', [0.0, 0.1])
def test_all_equal_inputs_are_finite_and_explode_nothing(name, value):
    student = torch.full((8, 100), value, requires_grad=True)
    loss = ALL[name](student, torch.randn(8, 100))
    loss.backward()
    assert loss.isfinite() and student.grad.norm() < 100


@pytest.mark.parametrize('name', RELATIONAL)
@pytest.mark.parametrize('value', [0.0, 1.0])
def test_two_equal_embeddings_explode_nothing(name, value):
    student = torch.randn(6, 16)
    student[:2] = value
    student.requires_grad_()
    RELATIONAL[name](student, torch.randn(6, 16)).backward()
    assert student.grad.isfinite().all() and student.grad.norm() < 1e3


@pytest.mark.parametrize('name', RELATIONAL)
def test_arguments_may_be_named(name):
    named = RELATIONAL[name](student_embedding=S, teacher_embedding=T)
    assert named == RELATIONAL[name](S, T)


@pytest.mark.parametrize('name', ALL)
def test_the_teacher_gets_no_gradient(name):
    student, teacher = S.clone().requires_grad_(), T.clone().requires_grad_()
    ALL[name](student, teacher).backward()
    assert teacher.grad is None


@pytest.mark.parametrize('name', ['rkd', 'cc', 'rsd', 'dist'])
def test_a_batch_of_one_is_refused_where_samples_are_compared(name):
    with pytest.raises(UserError, match='at least 2 samples'):
        ALL[name](S[:1], T[:1])


def test_bad_input_is_refused():
    with pytest.raises(UserError, match='eps: expected a number >= 1'):
        ofa_loss(S, T, Y, 0.5)
    with pytest.raises(UserError, match='logits: expected'):
        ofa_loss(S, T[:, :3], Y)
    with pytest.raises(UserError, match='at least 2 classes'):
        dkd_loss(S[:, :1], T[:, :1], Y)
    with pytest.raises(UserError, match='RLD: expected at least 2 classes'):
        rld_loss(S[:, :1], T[:, :1], Y)
    with pytest.raises(UserError, match='expected embeddings'):
        rkd_loss(S, T[:3])
    with pytest.raises(UserError, match='RSD: expected embeddings of one width.*AAD'):
        rsd_loss(S, WIDE)
    with pytest.raises(UserError, match='RSD: expected kappa >= 0'):
        rsd_loss(S, T, -1.0)
    with pytest.raises(UserError, match='temperature'):
        crd_loss(*CRD, SAMPLES, 0.0)
    with pytest.raises(UserError, match='CRD: expected embeddings of one shape.*ContrastHead'):
        crd_loss(CRD[0], CRD[1][:, :5], *CRD[2:], SAMPLES)
    with pytest.raises(UserError, match=r'CRD: expected memories \(M, 6\)'):
        crd_loss(*CRD[:2], CRD[2][:, :5], CRD[3][:, :5], SAMPLES)
    with pytest.raises(UserError, match='K >= 1 negatives'):
        crd_loss(*CRD, SAMPLES[:, :1])
    with pytest.raises(UserError, match='maps of one batch and grid'):
        at_loss(MAPS[0], MAPS[1][:, :, :1])
    with pytest.raises(UserError, match='CAT: expected class maps .N, C, H, W. of one batch'):
        cat_loss(CLASS_MAPS[0], CLASS_MAPS[1][:, :2])
    with pytest.raises(UserError, match='at least 2 x 2 cells, got student 2 x 3 and teacher 5 x 1'):
        cat_loss(CLASS_MAPS[0], CLASS_MAPS[1][..., :1])
    with pytest.raises(UserError, match='VkD: expected features .N, D. of one batch and width.*Orthogonal'):
        vkd_loss(S, WIDE)
    for loss in (
        lambda t: dkd_loss(S, T, Y, 1, 8, t),
        lambda t: dist_loss(S, T, 1, 1, t),
        lambda t: ofa_loss(S, T, Y, 1, t),
        lambda t: rld_loss(S, T, Y, 1, 8, t),
        lambda t: rld_loss(S, T, Y, 1, 8, 4, t),
    ):
        with pytest.raises(UserError, match='temperature'):
            loss(0)
