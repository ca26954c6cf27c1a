"""Theorems and gradients of FitNet's hint."""

import pytest
import torch

from hetkd.errors import UserError
from hetkd.functional import hint_loss


def feature(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize('shape', [(3,), (2, 5), (2, 3, 4, 5)])
def test_value_is_the_mean_squared_difference(shape):
    student, teacher = feature(*shape), feature(*shape, seed=1)
    squares = [(a - b) ** 2 for a, b in zip(student.flatten().tolist(), teacher.flatten().tolist())]
    assert hint_loss(student, teacher).item() == pytest.approx(sum(squares) / len(squares), rel=1e-12)


def test_gradient_is_twice_the_difference_over_the_count():
    student, teacher = feature(2, 3, 4).requires_grad_(), feature(2, 3, 4, seed=1)
    (got,) = torch.autograd.grad(hint_loss(student, teacher), student)
    assert torch.allclose(got, 2 * (student - teacher) / 24, rtol=1e-10)


def test_gradcheck():
    teacher = feature(2, 3, seed=1)
    assert torch.autograd.gradcheck(lambda x: hint_loss(x, teacher), feature(2, 3).requires_grad_())


def test_equal_features_give_zero_and_no_gradient():
    student = feature(2, 3).requires_grad_()
    loss = hint_loss(student, student.detach().clone())
    assert loss == 0 and torch.autograd.grad(loss, student)[0].abs().max() == 0


def test_teacher_gets_no_gradient():
    student, teacher = feature(2, 3).requires_grad_(), feature(2, 3, seed=1).requires_grad_()
    hint_loss(student, teacher).backward()
    assert teacher.grad is None and student.grad.abs().max() > 0


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_a_difference_of_400_squares_beyond_float16_and_stays_right(dtype):
    student = torch.full((2, 3), 200.0, dtype=dtype, requires_grad=True)
    loss = hint_loss(student, torch.full((2, 3), -200.0, dtype=dtype))
    (grad,) = torch.autograd.grad(loss, student)
    assert loss.dtype == torch.float32 and loss.item() == 160000
    assert grad.dtype == dtype and grad.float().flatten().tolist() == pytest.approx(
        [2 * 400 / 6] * 6, rel=1e-2
    )


def test_autocast_gives_the_float32_result():
    student, teacher = feature(4, 5, dtype=torch.float32), feature(4, 5, seed=1, dtype=torch.float32)
    expected = hint_loss(student, teacher).item()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        got = hint_loss(student, teacher)
    assert got.dtype == torch.float32 and got.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('student, teacher', [((2, 3), (2, 4)), ((2, 3), (1, 3)), ((2, 3), (2, 3, 1))])
def test_features_that_do_not_fit_are_refused_not_broadcast(student, teacher):
    with pytest.raises(UserError, match='hint: expected features of one shape'):
        hint_loss(feature(*student), feature(*teacher))
