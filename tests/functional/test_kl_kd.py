"""Theorems and gradients of KL and KD."""

import pytest
import torch
import torch.nn.functional as F

from hetkd.errors import UserError
from hetkd.functional import kd_loss, kl_divergence, kl_of_each, standardise_logits
from tests.reference.dfra import STUDENT, TEACHER, VALUES
from tests.reference.kd import kd_loops, kd_plain, kl_loops, kl_plain

F64 = torch.float64
LOSSES = {'kl': (kl_divergence, kl_loops, kl_plain), 'kd': (kd_loss, kd_loops, kd_plain)}
both = pytest.mark.parametrize('name', LOSSES)


def logits(*shape, seed=0, dtype=F64, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def pair(samples=4, classes=6, dtype=F64):
    return logits(samples, classes, dtype=dtype).requires_grad_(), logits(
        samples, classes, seed=1, dtype=dtype
    )


def gradient(loss, student):
    return torch.autograd.grad(loss, student)[0]


@pytest.mark.parametrize('temperature', VALUES)
def test_kl_gives_the_worked_example(temperature):
    got = kl_divergence(torch.tensor(STUDENT, dtype=F64), torch.tensor(TEACHER, dtype=F64), temperature)
    assert got.item() == pytest.approx(VALUES[temperature]['probability'], rel=1e-9, abs=0)


@both
@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
@pytest.mark.parametrize('shape', [(1, 2), (2, 5), (7, 3), (3, 1)])
def test_value_equals_the_loops(name, shape, temperature):
    function, loops, _ = LOSSES[name]
    student, teacher = pair(*shape)
    expected = loops(student, teacher, temperature)
    assert function(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-10, abs=1e-15)


@both
@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
def test_gradient_equals_autograd_of_the_plain_form(name, temperature):
    function, _, plain = LOSSES[name]
    student, teacher = pair()
    got = gradient(function(student, teacher, temperature), student)
    expected = gradient(plain(student, teacher, temperature), student)
    assert torch.allclose(got, expected, rtol=1e-10, atol=1e-14)


@both
def test_gradcheck(name):
    function, _, _ = LOSSES[name]
    student, teacher = pair(3, 4)
    assert torch.autograd.gradcheck(lambda x: function(x, teacher, 3.0), student)


@both
def test_student_equal_to_teacher_gives_zero_and_no_gradient(name):
    function, _, _ = LOSSES[name]
    student, _ = pair()
    loss = function(student, student.detach().clone())
    assert loss.abs() < 1e-14 and gradient(loss, student).abs().max() < 1e-14


def test_kl_is_never_negative():
    worst = min(kl_divergence(logits(3, 5, seed=i), logits(3, 5, seed=i + 1)).item() for i in range(100))
    assert worst > 0


def test_kl_is_torchs_batchmean():
    student, teacher = pair()
    expected = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction='batchmean')
    assert kl_divergence(student, teacher).item() == pytest.approx(expected.item(), rel=1e-12)


def test_kl_weighs_by_the_teacher_not_by_the_student():
    # Teacher (1/2, 1/2), student (3/4, 1/4): KL(p_t || p_s) = log 2 - log 3 / 2; the reverse differs.
    student = torch.tensor([[3.0, 1.0]], dtype=F64).log()
    teacher = torch.zeros(1, 2, dtype=F64)
    expected = torch.tensor(2.0, dtype=F64).log() - torch.tensor(3.0, dtype=F64).log() / 2
    assert kl_divergence(student, teacher).item() == pytest.approx(expected.item(), rel=1e-12)


def test_kl_is_the_cross_entropy_less_the_teachers_entropy():
    student, teacher = pair()
    target = teacher.softmax(1)
    expected = F.cross_entropy(student, target) - F.cross_entropy(teacher, target)
    assert kl_divergence(student, teacher).item() == pytest.approx(expected.item(), rel=1e-12)


@both
def test_a_constant_added_to_a_sample_changes_nothing(name):
    function, _, _ = LOSSES[name]
    student, teacher = pair()
    shift = logits(4, 1, seed=5)
    expected = function(student, teacher).item()
    assert function(student + shift, teacher - shift).item() == pytest.approx(expected, rel=1e-12)


@both
@pytest.mark.parametrize('leading', [(3,), (2, 3)])
def test_stacked_students_equal_one_by_one(name, leading):
    function, _, _ = LOSSES[name]
    students, teacher = logits(*leading, 4, 6), logits(4, 6, seed=1)
    expected = [function(x, teacher, 2.0).item() for x in students.reshape(-1, 4, 6)]
    got = function(students, teacher, 2.0)
    assert got.shape == leading and got.flatten().tolist() == pytest.approx(expected, rel=1e-12)


def test_kl_gradient_is_the_difference_of_probabilities():
    student, teacher = pair()
    got = gradient(kl_divergence(student, teacher, 4.0), student)
    expected = ((student / 4).softmax(1) - (teacher / 4).softmax(1)) / (4 * len(student))
    assert torch.allclose(got, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
def test_kd_is_t_squared_times_kl(temperature):
    student, teacher = pair()
    expected = temperature**2 * kl_divergence(student, teacher, temperature)
    assert kd_loss(student, teacher, temperature).item() == pytest.approx(expected.item(), rel=1e-12)


def test_kd_default_temperature_is_4():
    assert kd_loss(*pair()) == kd_loss(*pair(), temperature=4.0)


def test_kd_at_high_temperature_is_half_the_squared_difference_of_centred_logits_over_c():
    """Limit T -> inf, error O(1/T): with d = c(z_s) - c(z_t) and c(z) = z - its mean over classes.

    T^2 KL -> mean over n of |d_n|^2 / (2 C); its gradient -> d / (N C).
    """
    student, teacher = pair()
    samples, classes = student.shape
    difference = (student - teacher).detach()
    difference = difference - difference.mean(1, keepdim=True)
    limit = difference.square().sum() / (2 * samples * classes)
    limit_grad = difference / (samples * classes)

    def errors(temperature):
        loss = kd_loss(student, teacher, temperature)
        grad = gradient(loss, student)
        return abs(loss.item() / limit.item() - 1), ((grad - limit_grad).norm() / limit_grad.norm()).item()

    for coarse, fine in zip(errors(1e3), errors(1e4)):
        assert coarse < 1e-2
        assert fine == pytest.approx(coarse / 10, rel=0.05)


@both
def test_teacher_gets_no_gradient(name):
    function, _, _ = LOSSES[name]
    student, teacher = pair()
    teacher.requires_grad_()
    function(student, teacher).backward()
    assert teacher.grad is None and student.grad.abs().max() > 0


@both
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_logits_of_200_give_a_right_loss_and_a_finite_gradient(name, dtype):
    function, loops, _ = LOSSES[name]
    student = (200 * logits(4, 6).sign()).to(dtype).requires_grad_()
    teacher = (200 * logits(4, 6, seed=1).sign()).to(dtype)
    loss = function(student, teacher, 1.0)
    grad = gradient(loss, student)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(loops(student.detach(), teacher, 1.0), rel=1e-5)
    assert grad.dtype == dtype and grad.isfinite().all() and grad.abs().max() > 0


@both
def test_autocast_gives_the_float32_result(name):
    function, _, _ = LOSSES[name]
    student, teacher = pair(dtype=torch.float32)
    expected = function(student, teacher).item()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        got = function(student, teacher)
    assert got.dtype == torch.float32 and got.item() == pytest.approx(expected, rel=1e-5)


@both
@pytest.mark.parametrize('temperature', [0, -1, float('nan'), float('inf')])
def test_impossible_temperature_is_refused(name, temperature):
    with pytest.raises(UserError, match='temperature'):
        LOSSES[name][0](*pair(), temperature)


@both
@pytest.mark.parametrize('student, teacher', [((3, 4), (3, 5)), ((1, 4), (3, 4)), ((4,), (4,))])
def test_logits_that_do_not_fit_are_refused(name, student, teacher):
    with pytest.raises(UserError, match='logits: expected'):
        LOSSES[name][0](logits(*student), logits(*teacher))


def test_the_divergence_of_each_sample_is_what_the_mean_is_of():
    student, teacher = pair()
    each = kl_of_each(student, teacher, 2.0)
    for row, s, t in zip(each, student, teacher):
        assert row.item() == pytest.approx(kl_divergence(s[None], t[None], 2.0).item())
    assert each.mean().item() == pytest.approx(kl_divergence(student, teacher, 2.0).item())


def test_nothing_to_compare_is_refused():
    with pytest.raises(UserError, match=r'at least one sample and one class, got \(0, 3\); set drop_last'):
        kd_loss(torch.zeros(0, 3), torch.zeros(0, 3))
    with pytest.raises(UserError, match='logit standardisation: expected at least 2 classes, got 1'):
        standardise_logits(torch.zeros(4, 1))
