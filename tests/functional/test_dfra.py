"""Theorems and gradients of DFRA."""

import subprocess
import sys

import pytest
import torch

from hetkd.errors import UserError
from hetkd.functional import dfra_loss, relation
from tests.reference.dfra import PARTS, STUDENT, TEACHER, VALUES, dfra_loops, dfra_plain

F64 = torch.float64
SHAPES = [(2, 2), (2, 5), (5, 3), (4, 9)]
KINDS = {
    'normal': lambda x: 2 * x,
    'negative': lambda x: -1 - x.abs(),
    'positive': lambda x: 1 + x.abs(),
    'mixed': lambda x: x.abs() * torch.tensor([1.0, -1.0], dtype=x.dtype).repeat(x.shape[1])[: x.shape[1]],
    'constant rows': lambda x: x[:, :1].expand_as(x).clone(),
}


def logits(*shape, seed=0, dtype=F64, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def pair(samples=5, classes=7, dtype=F64):
    return logits(samples, classes, dtype=dtype).requires_grad_(), logits(
        samples, classes, seed=1, dtype=dtype
    )


def gradient(loss, student):
    return torch.autograd.grad(loss, student)[0]


def assert_close(got, expected, tolerance):
    """Compare by the largest difference relative to the largest expected entry."""
    expected = torch.as_tensor(expected, dtype=F64)
    difference = (got.detach().to(F64) - expected).abs().max()
    assert difference <= tolerance * expected.abs().max(), f'{difference} beside {expected.abs().max()}'


@pytest.mark.parametrize('part', PARTS)
@pytest.mark.parametrize('temperature', VALUES)
def test_worked_example(temperature, part):
    got = dfra_loss(torch.tensor(STUDENT, dtype=F64), torch.tensor(TEACHER, dtype=F64), temperature)
    assert getattr(got, part).item() == pytest.approx(VALUES[temperature][part], rel=1e-9, abs=0)


@pytest.mark.parametrize('temperature', VALUES)
def test_reference_gives_the_worked_example(temperature):
    student, teacher = torch.tensor(STUDENT, dtype=F64), torch.tensor(TEACHER, dtype=F64)
    plain = {k: v.item() for k, v in dfra_plain(student, teacher, temperature).items()}
    assert dfra_loops(student, teacher, temperature) == pytest.approx(VALUES[temperature], rel=1e-9, abs=0)
    assert plain == pytest.approx(VALUES[temperature], rel=1e-9, abs=0)


@pytest.mark.parametrize('temperature', [0.7, 1.0, 4.0])
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('shape', SHAPES)
def test_every_part_equals_the_loops(shape, kind, temperature):
    student = KINDS[kind](logits(*shape, scale=1))
    teacher = logits(*shape, seed=1)
    got = dfra_loss(student, teacher, temperature)
    expected = dfra_loops(student, teacher, temperature)
    assert {k: v.item() for k, v in got._asdict().items()} == pytest.approx(expected, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize('kind', KINDS)
def test_any_teacher_equals_the_loops(kind):
    student, teacher = logits(4, 6), KINDS[kind](logits(4, 6, seed=1, scale=1))
    got = {k: v.item() for k, v in dfra_loss(student, teacher)._asdict().items()}
    assert got == pytest.approx(dfra_loops(student, teacher), rel=1e-9, abs=1e-14)


def test_defaults_are_the_papers():
    student, teacher = pair()
    assert dfra_loss(student, teacher) == dfra_loss(student, teacher, temperature=1.0, alpha=2.0)


def test_one_class_leaves_only_the_sample_relation():
    student, teacher = pair(4, 1)
    got = dfra_loss(student, teacher)
    assert got.class_relation == 0 and got.probability == 0
    assert gradient(got.class_relation + got.probability, student).abs().max() == 0
    assert got.sample_relation.item() == pytest.approx(dfra_loops(student, teacher)['total'], rel=1e-9)
    assert got.sample_relation > 0


@pytest.mark.parametrize('alpha', [0, 2, 5])
def test_total_is_the_weighted_sum_of_its_parts(alpha):
    got = dfra_loss(*pair(), alpha=alpha)
    expected = got.class_relation + got.sample_relation + alpha * got.probability
    assert got.total.item() == pytest.approx(expected.item(), rel=1e-12)


def test_temperature_divides_the_logits_and_nothing_else():
    student, teacher = pair()
    got, expected = dfra_loss(student, teacher, 3.0), dfra_loss(student / 3, teacher / 3, 1.0)
    assert [x.item() for x in got] == pytest.approx([x.item() for x in expected], rel=1e-12)


# Gradients


@pytest.mark.parametrize('temperature', [1.0, 4.0])
@pytest.mark.parametrize('part', PARTS)
@pytest.mark.parametrize('shape', [*SHAPES, (16, 30)])
def test_gradient_equals_autograd_of_the_plain_form(shape, part, temperature):
    student, teacher = pair(*shape)
    got = gradient(getattr(dfra_loss(student, teacher, temperature), part), student)
    expected = gradient(dfra_plain(student, teacher, temperature)[part], student)
    assert_close(got, expected, 1e-10)


@pytest.mark.parametrize('part', PARTS)
@pytest.mark.parametrize('shape', [(5, 7), (16, 30)])
def test_float32_loss_and_gradient_equal_the_float64_plain_form(shape, part):
    student, teacher = pair(*shape)
    single = student.detach().float().requires_grad_()
    got = getattr(dfra_loss(single, teacher.float()), part)
    expected = dfra_plain(student, teacher)[part]
    assert got.dtype == torch.float32
    assert_close(got, expected, 1e-4)
    assert_close(gradient(got, single), gradient(expected, student), 1e-4)


@pytest.mark.parametrize('part', PARTS)
def test_gradcheck(part):
    student, teacher = pair(3, 4)
    assert torch.autograd.gradcheck(lambda x: getattr(dfra_loss(x, teacher, 2.0), part), student)


def test_gradcheck_of_stacked_students():
    teacher = logits(3, 4)
    assert torch.autograd.gradcheck(lambda x: dfra_loss(x, teacher).total, logits(2, 3, 4).requires_grad_())


def test_each_students_gradient_is_scaled_by_its_own_weight():
    students, teacher = logits(3, 4, 5).requires_grad_(), logits(4, 5, seed=1)
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=F64)
    got = gradient((weights * dfra_loss(students, teacher).total).sum(), students)
    for weight, student, grad in zip(weights, students.detach(), got):
        student.requires_grad_()
        assert_close(grad, weight * gradient(dfra_plain(student, teacher)['total'], student), 1e-10)


def test_gradient_of_a_student_used_twice_is_the_sum():
    student, teacher = pair()
    got = gradient(dfra_loss(student.expand(2, -1, -1), teacher).total.sum(), student)
    assert_close(got, 2 * gradient(dfra_plain(student, teacher)['total'], student), 1e-10)


def test_teacher_gets_no_gradient():
    student, teacher = pair()
    teacher.requires_grad_()
    dfra_loss(student, teacher).total.backward()
    assert teacher.grad is None and student.grad.abs().max() > 0


def test_no_grad_gives_the_same_result_without_gradient_work(monkeypatch):
    student, teacher = pair()
    expected = dfra_loss(student, teacher)
    asked, run = [], relation._pass
    monkeypatch.setattr(relation, '_pass', lambda *args: asked.append(args[-1]) or run(*args))
    with torch.no_grad():
        got = dfra_loss(student, teacher)
    assert asked == [False, False]
    assert [x.item() for x in got] == [x.item() for x in expected]
    assert not any(x.requires_grad for x in got)
    dfra_loss(student, teacher)
    assert asked[2:] == [True, True]


# Several students


@pytest.mark.parametrize('leading', [(1,), (6,), (2, 3)])
def test_stacked_students_equal_one_by_one(leading):
    students, teacher = logits(*leading, 4, 5).requires_grad_(), logits(4, 5, seed=1)
    got = dfra_loss(students, teacher, 1.5)
    singles = [dfra_loss(x, teacher, 1.5) for x in students.reshape(-1, 4, 5)]
    for part in PARTS:
        together = getattr(got, part)
        one_by_one = torch.stack([getattr(x, part) for x in singles]).reshape(leading)
        assert together.shape == leading
        assert_close(together, one_by_one, 1e-12)
        expected = torch.autograd.grad(one_by_one.sum(), students, retain_graph=True)[0]
        assert_close(torch.autograd.grad(together.sum(), students, retain_graph=True)[0], expected, 1e-12)


def test_one_student_gives_scalars():
    assert all(x.shape == () for x in dfra_loss(*pair()))


def test_transposed_memory_does_not_matter():
    student, teacher = pair()
    got = dfra_loss(student.mT.contiguous().mT, teacher.mT.contiguous().mT)
    assert [x.item() for x in got] == pytest.approx(
        [x.item() for x in dfra_loss(student, teacher)], rel=1e-12
    )


@pytest.mark.parametrize('budget', [1, 3 * 7 * 7 * 2, 3 * 7 * 7 * 3 + 1])
def test_chunks_do_not_change_the_result(monkeypatch, budget):
    students, teacher = logits(3, 5, 7).requires_grad_(), logits(5, 7, seed=1)

    def evaluate():
        loss = dfra_loss(students, teacher)
        return torch.stack(loss), gradient(loss.total.sum(), students)

    whole = evaluate()
    chunks, run = [], relation._chunk
    monkeypatch.setattr(relation, '_chunk', lambda u, *args: chunks.append(u.shape[1]) or run(u, *args))
    monkeypatch.setitem(relation._CHUNK, 'cpu', budget)
    for got, expected in zip(evaluate(), whole):
        assert_close(got, expected, 1e-12)
    assert len(chunks) > 2 and sum(chunks) == 5 + 7


# Zero and symmetries


@pytest.mark.parametrize('dtype, limit', [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize('shape', [(2, 3), (16, 30)])
def test_student_equal_to_teacher_gives_zero_and_no_gradient(shape, dtype, limit):
    student = logits(*shape, dtype=dtype).requires_grad_()
    got = dfra_loss(student, student.detach().clone())
    assert max(x.abs().item() for x in got) < limit
    assert gradient(got.total, student).abs().max() < limit


def test_parts_are_positive_for_different_nets():
    for seed in range(20):
        got = dfra_loss(logits(3, 4, seed=seed), logits(3, 4, seed=seed + 100))
        assert all(x > 0 for x in got)


@pytest.mark.parametrize('axis', [0, 1], ids=['samples', 'classes'])
def test_permuting_both_nets_changes_nothing(axis):
    student, teacher = pair()
    order = torch.randperm(student.shape[axis], generator=torch.Generator().manual_seed(3))
    got = dfra_loss(student.index_select(axis, order), teacher.index_select(axis, order))
    assert [x.item() for x in got] == pytest.approx(
        [x.item() for x in dfra_loss(student, teacher)], rel=1e-12
    )


@pytest.mark.parametrize('axis', [0, 1], ids=['samples', 'classes'])
def test_permuting_the_student_alone_changes_every_part(axis):
    student, teacher = pair()
    got = dfra_loss(student.roll(1, axis), teacher)
    assert all((a - b).abs() > 1e-3 for a, b in zip(got, dfra_loss(student, teacher)))


def test_relations_do_not_see_the_sign_of_the_logits_but_the_probability_does():
    student, teacher = pair()
    got = dfra_loss(-student, student.detach())
    assert got.class_relation.abs() < 1e-12 and got.sample_relation.abs() < 1e-12
    assert got.probability > 0.1
    assert dfra_loss(-student, teacher).class_relation == dfra_loss(student, teacher).class_relation


def test_sample_relation_is_the_class_relation_of_transposed_square_logits():
    student, teacher = pair(6, 6)
    got, transposed = dfra_loss(student, teacher), dfra_loss(student.T, teacher.T)
    assert got.sample_relation.item() == pytest.approx(transposed.class_relation.item(), rel=1e-12)
    assert got.class_relation.item() == pytest.approx(transposed.sample_relation.item(), rel=1e-12)


# Number types


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_logits_of_200_give_a_right_loss_and_a_finite_gradient(dtype):
    signs = logits(6, 10).sign()
    student = (200 * signs).to(dtype).requires_grad_()
    teacher = (200 * logits(6, 10, seed=1).sign()).to(dtype)
    got = dfra_loss(student, teacher)
    expected = dfra_loops(student.detach(), teacher)
    assert {k: v.item() for k, v in got._asdict().items()} == pytest.approx(expected, rel=1e-4)
    grad = gradient(got.total, student)
    assert grad.dtype == dtype and grad.isfinite().all() and grad.abs().max() > 0


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_inputs_are_computed_in_float32(dtype):
    student, teacher = pair(dtype=dtype)
    single = student.detach().float().requires_grad_()
    got, expected = dfra_loss(student, teacher), dfra_loss(single, teacher.float())
    assert got == expected and got.total.dtype == torch.float32
    grad = gradient(got.total, student)
    assert grad.dtype == dtype
    assert torch.equal(grad, gradient(expected.total, single).to(dtype))


@pytest.mark.parametrize('student_dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('teacher_dtype', [torch.float16, torch.float32, torch.float64])
def test_teacher_may_have_another_number_type(student_dtype, teacher_dtype):
    student, teacher = pair(dtype=student_dtype)
    got = dfra_loss(student, teacher.to(teacher_dtype)).total
    assert got.dtype == torch.promote_types(student_dtype, torch.float32)
    assert got.item() == pytest.approx(dfra_loops(student, teacher.to(teacher_dtype))['total'], rel=1e-4)


def test_autocast_gives_the_float32_result():
    student, teacher = pair(16, 30, dtype=torch.float32)
    expected = dfra_loss(student, teacher)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        got = dfra_loss(student, teacher)
        grad = gradient(got.total, student)
    assert all(x.dtype == torch.float32 for x in got)
    assert_close(torch.stack(got), torch.stack(expected), 1e-5)
    assert_close(grad, gradient(expected.total, student), 1e-5)


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_a_broken_logit_is_not_hidden(bad):
    student, teacher = pair()
    broken = student.detach().clone()
    broken[1, 2] = bad
    assert not any(x.isfinite() for x in dfra_loss(broken, teacher))


# Refusals


@pytest.mark.parametrize('temperature', [0, -1, float('nan'), float('inf')])
def test_impossible_temperature_is_refused(temperature):
    with pytest.raises(UserError, match='temperature'):
        dfra_loss(*pair(), temperature)


@pytest.mark.parametrize(
    'student, teacher',
    [((3, 4), (3, 5)), ((4, 4), (3, 4)), ((4,), (4,)), ((3, 4), (1, 3, 4)), ((2, 3, 4), (2, 3, 4))],
)
def test_logits_that_do_not_fit_are_refused(student, teacher):
    with pytest.raises(UserError, match='logits: expected'):
        dfra_loss(logits(*student), logits(*teacher))


def test_one_sample_is_refused():
    with pytest.raises(UserError, match='at least 2 samples'):
        dfra_loss(logits(1, 4), logits(1, 4))


def test_second_derivative_is_refused():
    student, teacher = pair()
    with pytest.raises(UserError, match='create_graph=True'):
        (grad,) = torch.autograd.grad(dfra_loss(student, teacher).total, student, create_graph=True)
        grad.square().sum().backward()


# Memory

MEASURE = """
import resource, torch
from hetkd.functional import dfra_loss
students, teacher = torch.randn(6, 128, 1000, requires_grad=True), torch.randn(128, 1000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
dfra_loss(students, teacher).total.sum().backward()
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='ru_maxrss is in KiB on Linux only')
def test_imagenet_batch_with_six_students_stays_under_1_gb():
    # Through a shell, which forks: a direct child would start with this process's peak as its ru_maxrss.
    command = ['sh', '-c', '"$0" -c "$1"; exit $?', sys.executable, MEASURE]
    before, after = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert 0 < int(after) - int(before) < 10**9 / 1024
