"""A teacher at its cheapest says what it said before."""

import shutil

import pytest
import torch
from mmengine.config import Config
from torch import nn

from hetkd.errors import UserError
from hetkd.functional import kl_of_each
from hetkd.models import FrozenTeacher
from hetkd.registry import DATASETS, MODELS
from hetkd.testing import micro_net
from tests.conftest import ROOT

IMAGES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def pair(family='vit', **options):
    """A teacher as it is, and the same weights with options."""
    plain = FrozenTeacher(micro_net(family, checkpoint='random'))
    other = FrozenTeacher(micro_net(family, checkpoint='random', **options))
    other.net.load_state_dict(plain.net.state_dict())
    return plain, other


@pytest.mark.parametrize('family', ['cnn', 'vit', 'swin', 'mlp'])
@pytest.mark.parametrize('dtype, tolerance', [('bfloat16', 0.05), ('float16', 0.01)])
def test_half_precision_agrees_and_gives_float32(family, dtype, tolerance):
    plain, other = pair(family, dtype=dtype)
    assert {p.dtype for p in other.net.parameters()} == {getattr(torch, dtype)}
    expected, found = (x(IMAGES, stages=True, embedding=True) for x in (plain, other))
    for x, y in zip(
        (expected.logits, expected.embedding, *expected.stages),
        (found.logits, found.embedding, *found.stages),
    ):
        assert y.dtype == torch.float32
        assert (x - y).norm() < tolerance * x.norm()


def test_its_dtype_survives_casts_and_amp():
    _, other = pair('cnn', dtype='bfloat16')
    student = nn.Linear(1, 1)
    for fn in (lambda t: t.float(), lambda t: t):
        other.apply_(fn)
        assert {p.dtype for p in other.net.parameters() if p.is_floating_point()} == {torch.bfloat16}
    with torch.autocast('cpu', dtype=torch.float16):
        seen = other(IMAGES).logits
        assert student(torch.ones(1, 1)).dtype == torch.float16, 'autocast is on outside'
    torch.testing.assert_close(seen, other(IMAGES).logits)


@pytest.mark.parametrize('dtype, share, divergence', [('bfloat16', 92, 2e-3), ('float16', 98, 5e-5)])
def test_a_half_precision_teacher_chooses_the_same_classes(dtype, share, divergence, tiny_teacher):
    """On the digits; its logits are close to each other, so that a trained teacher agrees more often."""
    data, nets = (
        Config.fromfile(ROOT / f'configs/_base_/{x}.py') for x in ('datasets/digits', 'nets/vit-micro')
    )
    dataset = DATASETS.build(dict(type='Digits', split='test', pipeline=data._test_pipeline))
    preprocessor = MODELS.build(dict(data.data_preprocessor, type='SeededPreprocessor'))
    images = preprocessor(dict(inputs=[x['inputs'] for x in dataset]))['inputs']
    net = dict(nets._vit_micro, num_classes=10, checkpoint=str(tiny_teacher))
    plain, other = (FrozenTeacher(dict(net, dtype=x))(images).logits for x in (None, dtype))
    assert 100 * (plain.argmax(1) == other.argmax(1)).float().mean() >= share
    assert 0 < kl_of_each(other.log_softmax(1), plain).mean() < divergence


def test_another_dtype_is_refused():
    with pytest.raises(UserError, match="dtype: expected one of .*'bfloat16', 'float16'.*got 'half'"):
        FrozenTeacher(micro_net('cnn', checkpoint='random', dtype='half'))


@pytest.mark.parametrize('family', ['cnn', 'swin'])
def test_channels_last_agrees(family):
    plain, other = pair(family, channels_last=True)
    convs = [m.weight for m in other.net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1]
    assert convs and all(x.is_contiguous(memory_format=torch.channels_last) for x in convs)
    assert other.prepare(IMAGES).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain(IMAGES).logits, other(IMAGES).logits, atol=1e-5, rtol=1e-4)


def test_it_runs_in_inference_mode_and_what_it_gives_may_be_kept_for_a_backward_pass():
    teacher = FrozenTeacher(micro_net('cnn', checkpoint='random'))
    modes = []
    teacher.net.register_forward_pre_hook(lambda *_: modes.append(torch.is_inference_mode_enabled()))
    output = teacher(IMAGES, stages=True, embedding=True)
    assert modes == [True]
    for value in (output.logits, output.embedding, *output.stages):
        assert not value.is_inference() and not value.requires_grad
    student = torch.randn(4, 10, requires_grad=True)
    (student * output.logits).sum().backward()
    assert torch.equal(student.grad, output.logits)


@pytest.mark.slow  # inductor; tests/engine/test_compile.py runs the graphs as they are
@pytest.mark.skipif(shutil.which('g++') is None, reason='torch.compile needs a C++ compiler')
@pytest.mark.parametrize('who', ['teacher', 'student'])
def test_compiled_nets_agree_and_keep_their_names(who, batch):
    def build(**options):
        torch.manual_seed(0)
        return MODELS.build(
            dict(
                type='MLDRKD',
                teacher=micro_net('vit', checkpoint='random', **options.get('teacher', {})),
                student=micro_net('cnn', **options.get('student', {})),
            )
        ).train()

    plain, compiled = build(), build(**{who: dict(compile=True)})
    compiled.load_state_dict(plain.state_dict(), strict=True)
    net = compiled.student if who == 'student' else compiled.teacher.net
    assert net._compiled_call_impl is None, 'not before it is needed'
    plain.watches_gradients = compiled.watches_gradients = True  # goes backward more than once
    one, other = plain.loss(*batch), compiled.loss(*batch)
    assert net._compiled_call_impl is not None
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, atol=1e-3, rtol=1e-3)
    total, logged = compiled.parse_losses(other)
    total.backward()
    assert {'grad_cos_dfra_logit', 'grad_cos_dfra_stage'} <= set(logged)
    assert all(p.grad is not None for p in compiled.parameters())


def test_a_channels_last_student_agrees(batch):
    torch.manual_seed(0)
    plain = MODELS.build(dict(type='NetClassifier', student=micro_net('cnn'))).eval()
    other = MODELS.build(dict(type='NetClassifier', student=micro_net('cnn', channels_last=True))).eval()
    other.load_state_dict(plain.state_dict())
    convs = [m.weight for m in other.student.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1]
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in convs)
    torch.testing.assert_close(plain.loss(*batch)['loss_ce'], other.loss(*batch)['loss_ce'])


def test_the_student_starts_alike_under_any_teacher():
    states = []
    for family in ('vit', 'swin'):
        torch.manual_seed(0)
        teacher = micro_net(family, checkpoint='random')
        model = MODELS.build(dict(type='LogitDistiller', teacher=teacher, student=micro_net('cnn')))
        model.init_weights()
        states.append(model.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
