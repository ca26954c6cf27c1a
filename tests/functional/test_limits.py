"""Every loss at extreme inputs: finite value and gradient, NaN visible, too few elements refused."""

import pytest
import torch

from hetkd.errors import UserError
from hetkd.functional import (
    at_loss,
    cat_loss,
    cc_loss,
    crd_loss,
    dfra_loss,
    dist_loss,
    dkd_loss,
    hint_loss,
    kd_loss,
    kl_divergence,
    ofa_loss,
    orthogonality_loss,
    rkd_loss,
    rld_loss,
    rsd_loss,
    standardise_logits,
    sublogit_ce,
    sublogit_kl,
    vkd_loss,
)
from hetkd.functional.unit import unit


def labels(x):
    return torch.arange(len(x)) % x.shape[1]


def crd(student, teacher):
    """Unit vectors, as the contrast heads make them; each sample's negative is the next."""
    student, teacher = unit(student.float()), unit(teacher.float())
    rows = torch.arange(len(student))
    samples = torch.stack([rows, rows.roll(1)], 1)
    return crd_loss(student, teacher, student.detach(), teacher, samples)


def sub_logits(student, teacher):
    return torch.stack([student, student / 2 + teacher / 2], 1)


def class_maps(x):
    """Four cells a class."""
    return torch.stack([x, x.roll(1, 1), -x, x.roll(1, 0)], -1).unflatten(-1, (2, 2))


# Each takes student and teacher (N, C) to a scalar.
LOSSES = {
    'at': lambda s, t: at_loss(s[:, None, None], t[:, None, None]),
    'cat': lambda s, t: cat_loss(class_maps(s), class_maps(t)),
    'cc': cc_loss,
    'crd': crd,
    'dfra': lambda s, t: dfra_loss(s, t).total,
    'dist': dist_loss,
    'dkd': lambda s, t: dkd_loss(s, t, labels(s)),
    'hint': hint_loss,
    'kd': kd_loss,
    'kl': kl_divergence,
    'ofa': lambda s, t: ofa_loss(s, t, labels(s), 1.5),
    'orthogonality': lambda s, t: orthogonality_loss(sub_logits(s, t), labels(s)),
    'rkd': rkd_loss,
    'rld': lambda s, t: rld_loss(s, t, labels(s)),
    'rsd': rsd_loss,
    'standardised kd': lambda s, t: kd_loss(standardise_logits(s), standardise_logits(t)),
    'sub-logit ce': lambda s, t: sublogit_ce(sub_logits(s, t), labels(s)),
    'sub-logit kl': lambda s, t: sublogit_kl(sub_logits(s, t), s),
    'vkd': vkd_loss,
}
every = pytest.mark.parametrize('name', LOSSES)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair(*shape):
    return normal(*shape), normal(*shape, seed=1)


INPUTS = {
    '+-1e4': [1e4 * x.sign() for x in pair(6, 10)],
    '+-1e4, two classes': [1e4 * x.sign() for x in pair(6, 2)],
    'two samples': pair(2, 10),
    'two samples, two classes': pair(2, 2),
    'duplicates': [x[[0, 0, 1, 1, 1, 2]] for x in pair(3, 10)],
    'duplicates of the student': [normal(2, 10)[[0, 0, 0, 1]], normal(4, 10, seed=1)],
    'all equal': [normal(1, 10).expand(5, 10), normal(5, 10, seed=1)],
    'zeros': [torch.zeros(5, 10), torch.zeros(5, 10)],
    'zeros of the student': [torch.zeros(5, 10), normal(5, 10)],
    'zeros of the teacher': [normal(5, 10), torch.zeros(5, 10)],
    'near zero': [1e-3 * x for x in pair(5, 10)],
    'near equal': [1 + 1e-3 * x for x in pair(5, 10)],
    'the same': [normal(5, 10), normal(5, 10)],
}


def check(name, student, teacher, dtype):
    student = student.to(dtype).requires_grad_()
    loss = LOSSES[name](student, teacher.to(dtype))
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.dtype == torch.float32 and loss.isfinite(), f'{name}: {loss}'
    assert gradient.isfinite().all(), f'{name}: {gradient}'


@every
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('kind', INPUTS)
def test_value_and_gradient_are_finite(name, kind, dtype):
    check(name, *INPUTS[kind], dtype)


@every
@pytest.mark.parametrize('scale', [1e-5, 1e-7, 1e-13, 1e-30])
def test_value_and_gradient_are_finite_at_zero(name, scale):
    check(name, *[scale * x for x in pair(5, 10)], torch.float32)


@every
def test_far_out_float32_gives_the_value_of_float64(name):
    nets = INPUTS['+-1e4']
    expected = LOSSES[name](*[x.double() for x in nets]).item()
    assert LOSSES[name](*nets).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


@every
def test_value_and_gradient_are_finite_with_10001_classes(name):
    check(name, *pair(2, 10_001), torch.float32)


@every
@pytest.mark.parametrize('net', ['student', 'teacher'])
@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_nan_or_infinite_inputs_show_in_the_loss(name, net, value):
    nets = dict(zip(('student', 'teacher'), pair(4, 6)))
    nets[net][1] = value
    assert not LOSSES[name](*nets.values()).isfinite()


@pytest.mark.parametrize('name', ['cc', 'dfra', 'dist', 'rkd', 'rsd'])
def test_one_sample_is_refused_where_samples_are_compared(name):
    with pytest.raises(UserError, match='expected at least 2 samples.*got 1.*drop_last'):
        LOSSES[name](*pair(1, 4))


@pytest.mark.parametrize('name', ['dist', 'dkd', 'orthogonality', 'rld', 'standardised kd'])
def test_one_class_is_refused_where_classes_are_compared(name):
    with pytest.raises(UserError, match='expected at least 2 classes.*got'):
        LOSSES[name](*pair(4, 1))


@pytest.mark.parametrize('name', ['dfra', 'dist', 'dkd', 'kd', 'kl', 'ofa', 'rld'])
def test_an_empty_batch_is_refused(name):
    with pytest.raises(UserError, match='expected at least one sample'):
        LOSSES[name](*pair(0, 4))
