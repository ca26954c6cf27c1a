"""Theorems and gradients of the relation KL, the kernel of DFRA."""

import pytest
import torch

from hetkd.functional import mean_relation, relation, relation_kl
from tests.reference.dfra import relation_loops, relation_plain


def items(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize('scale', [0.1, 1.0, 3.0])
@pytest.mark.parametrize('shape', [(1, 2, 3), (3, 4, 2), (2, 1, 6)])
def test_value_equals_the_loops(shape, scale):
    students, teacher = 2 * items(*shape), 2 * items(*shape[1:], seed=1)
    expected = [relation_loops(x, teacher, scale) for x in students]
    assert relation_kl(students, teacher, scale).tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize('scale', [0.1, 1.0, 3.0])
def test_gradient_equals_autograd_of_the_plain_form(scale):
    students, teacher = items(3, 4, 5).requires_grad_(), items(4, 5, seed=1)
    (got,) = torch.autograd.grad(relation_kl(students, teacher, scale).sum(), students)
    plain = sum(relation_plain(x, teacher, scale) for x in students)
    (expected,) = torch.autograd.grad(plain, students)
    assert torch.allclose(got, expected, rtol=0, atol=1e-10 * expected.abs().max().item())


def test_gradcheck():
    teacher = items(3, 4, seed=1)
    assert torch.autograd.gradcheck(lambda x: relation_kl(x, teacher, 0.5), items(2, 3, 4).requires_grad_())


def test_one_entry_is_always_the_same_distribution():
    students = items(2, 5, 1).requires_grad_()
    loss = relation_kl(students, items(5, 1, seed=1), 1.0)
    assert loss.abs().max() == 0
    assert torch.autograd.grad(loss.sum(), students)[0].abs().max() == 0


def test_a_vector_of_one_repeated_value_has_uniform_columns_whatever_the_value():
    students = torch.full((1, 3, 4), 0.7, dtype=torch.float64)
    assert relation_kl(students, torch.zeros(3, 4, dtype=torch.float64), 1.0).abs().max() < 1e-15


def test_value_is_the_mean_over_items():
    student, teacher = items(1, 6, 4), items(6, 4, seed=1)
    parts = [relation_kl(student[:, i : i + 1], teacher[i : i + 1], 0.5) for i in range(6)]
    got = relation_kl(student, teacher, 0.5)
    assert got.item() == pytest.approx(torch.stack(parts).mean().item(), rel=1e-12)


@pytest.mark.parametrize('sign', [1, -1], ids=['positive', 'negative'])
@pytest.mark.parametrize('kind', ['mixed', 'one sign'])
def test_largest_entry_of_each_column_is_known_without_a_search(kind, sign):
    x = sign * (items(3, 6) if kind == 'mixed' else items(3, 6).abs())
    columns = 0.5 * x[:, :, None] * x[:, None, :]
    got = relation._columns(x, 0.5)
    assert torch.allclose(got.mT, columns.softmax(-2), rtol=1e-12)
    assert torch.allclose(relation._log_sum_exp(x, got, 0.5), columns.logsumexp(-2), rtol=1e-12)


def test_huge_entries_stay_finite():
    students = 1e4 * items(2, 3, 5, dtype=torch.float32).sign()
    students.requires_grad_()
    loss = relation_kl(students, -1e4 * items(3, 5, seed=1, dtype=torch.float32).sign(), 1.0)
    (grad,) = torch.autograd.grad(loss.sum(), students)
    assert loss.isfinite().all() and loss.min() > 0
    assert grad.isfinite().all() and grad.abs().max() > 0


def test_inputs_are_left_as_they_were():
    students, teacher = items(2, 3, 4).requires_grad_(), items(3, 4, seed=1)
    copies = students.detach().clone(), teacher.clone()
    relation_kl(students, teacher, 0.5).sum().backward()
    assert torch.equal(students, copies[0]) and torch.equal(teacher, copies[1])


def test_backward_twice_gives_the_same_gradient():
    students = items(2, 3, 4).requires_grad_()
    loss = relation_kl(students, items(3, 4, seed=1), 0.5).sum()
    first, second = (torch.autograd.grad(loss, students, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_teacher_gets_no_gradient():
    students, teacher = items(2, 3, 4).requires_grad_(), items(3, 4, seed=1).requires_grad_()
    relation_kl(students, teacher, 0.5).sum().backward()
    assert teacher.grad is None and students.grad.abs().max() > 0


def test_a_student_without_gradient_gives_a_loss_without_gradient():
    assert not relation_kl(items(2, 3, 4), items(3, 4, seed=1).requires_grad_(), 0.5).requires_grad


def test_no_gradient_work_for_a_leaf_under_no_grad(monkeypatch):
    asked, run = [], relation._pass
    monkeypatch.setattr(relation, '_pass', lambda *args: asked.append(args[-1]) or run(*args))
    with torch.no_grad():
        relation_kl(items(2, 3, 4).requires_grad_(), items(3, 4, seed=1), 0.5)
    assert asked == [False]


def test_the_mean_relation_is_that_of_softmaxed_outer_products(monkeypatch):
    x = 3 * items(7, 4)
    expected = torch.stack([(0.5 * torch.outer(row, row)).softmax(0) for row in x]).mean(0)
    torch.testing.assert_close(mean_relation(x, 0.5), expected)
    monkeypatch.setitem(relation._CHUNK, 'cpu', 40)  # two items at a time
    torch.testing.assert_close(mean_relation(x, 0.5), expected)
