"""Automatic mixed precision: bfloat16 without a loss scale, and on a CPU."""

import importlib

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch.nn.functional import scaled_dot_product_attention as attention

from hetkd.engine import AmpOptimWrapper, has_bfloat16
from hetkd.errors import UserError
from hetkd.registry import MODELS
from hetkd.testing import micro_net


def wrapper(**options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    return AmpOptimWrapper(optimizer=optimizer, **options)


def test_a_config_gets_it_by_mmengines_name():
    optimizer = dict(type='SGD', lr=0.1)
    config = dict(type='AmpOptimWrapper', optimizer=optimizer, clip_grad=dict(max_norm=1.0))
    assert type(build_optim_wrapper(torch.nn.Linear(1, 1), config)) is AmpOptimWrapper


@pytest.mark.parametrize('dtype', [None, 'float16', 'bfloat16', torch.bfloat16])
def test_bfloat16_has_no_loss_scale_on_a_gpu(dtype, monkeypatch):
    monkeypatch.setattr('hetkd.engine.amp.get_device', lambda: 'cuda')
    mmengines = importlib.import_module('mmengine.optim.optimizer.amp_optimizer_wrapper')
    monkeypatch.setattr(mmengines, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(mmengines, 'GradScaler', lambda: torch.amp.GradScaler('cpu'))
    scaler = wrapper(dtype=dtype).loss_scaler
    assert scaler.is_enabled() == ('bfloat16' not in str(dtype))


def test_a_cpu_takes_bfloat16_alone():
    assert wrapper().cast_dtype == torch.bfloat16 and not wrapper().loss_scaler.is_enabled()
    with pytest.raises(UserError, match='optim_wrapper.dtype: expected bfloat16 on a CPU, got float16'):
        wrapper(dtype='float16')


def test_a_state_comes_back():
    one, other = wrapper(), wrapper()
    one.update_params(one.optimizer.param_groups[0]['params'][0].sum())
    state = one.state_dict()
    other.load_state_dict(state)
    assert other.optimizer.state_dict() == one.optimizer.state_dict()


@pytest.mark.parametrize('has', [True, False])
def test_a_processor_without_bfloat16_is_said_to_be_slow(has, monkeypatch):
    said = []
    monkeypatch.setattr('hetkd.engine.amp.has_bfloat16', lambda: has)
    monkeypatch.setattr('hetkd.engine.amp.print_log', lambda text, *args: said.append(text))
    wrapper()
    assert len(said) == (not has) and all('slower than float32' in x for x in said)


@pytest.mark.parametrize(
    'channels, options, dtype',
    [
        ((4, 4), dict(groups=4, stride=2), torch.float32),
        ((4, 8), dict(groups=4, stride=(1, 2)), torch.float32),
        ((4, 4), dict(groups=4), torch.bfloat16),
        ((4, 4), dict(groups=2, stride=2), torch.bfloat16),
        ((4, 4), dict(stride=2), torch.bfloat16),
        ((1, 4), dict(stride=2), torch.bfloat16),
    ],
)
def test_a_depthwise_convolution_with_a_stride_stays_in_float32_on_a_cpu(channels, options, dtype):
    conv, after = torch.nn.Conv2d(*channels, 3, **options), torch.nn.Conv2d(channels[1], 2, 1)
    x = torch.randn(2, channels[0], 8, 8).bfloat16()
    with wrapper().optim_context(conv):
        y = conv(x)
        assert y.dtype == dtype and after(y).dtype == torch.bfloat16
    if dtype == torch.float32:
        assert torch.equal(y, conv(x.float()))


@pytest.mark.parametrize('size, dtype', [(1, torch.float32), (2, torch.bfloat16)])
def test_a_map_smaller_than_the_stride_stays_in_float32_on_a_cpu(size, dtype):
    conv = torch.nn.Conv2d(4, 4, 3, stride=2, padding=1)
    x = torch.randn(2, 4, size, size)
    with wrapper().optim_context(conv):
        assert conv(x.bfloat16()).dtype == dtype


@pytest.mark.parametrize('how', ['positional', 'by name', 'masked'])
def test_attention_stays_in_float32_on_a_cpu(how):
    amp = wrapper()
    q, k, v = (torch.randn(2, 3, 5, 4).bfloat16().requires_grad_() for _ in range(3))
    mask = torch.ones(5, 5).tril().bool()
    if how == 'by name':
        options = dict(query=q, key=k, value=v)
    else:
        options = dict(attn_mask=mask) if how == 'masked' else {}
    inputs = () if how == 'by name' else (q, k, v)
    with amp.optim_context(torch.nn.Linear(1, 1)):
        out = attention(*inputs, **options)
        assert (out @ out.mT).dtype == torch.bfloat16  # what comes after is in bfloat16
    expected = attention(*(x.float() for x in (q, k, v)), attn_mask=options.get('attn_mask'))
    assert torch.equal(out, expected)
    out.sum().backward()
    assert q.grad.dtype == torch.bfloat16
    assert attention(q, k, v).dtype == torch.bfloat16  # outside nothing has changed
    with amp.optim_context(torch.nn.Linear(1, 1)), torch.autocast('cpu', enabled=False):
        assert attention(q, k, v).dtype == torch.bfloat16


def test_the_flags_of_the_processor_are_read(tmp_path):
    for flags, expected in (('sse avx512f', False), ('sse avx512_bf16', True), ('amx_bf16', True)):
        (tmp_path / 'cpuinfo').write_text(f'processor : 0\nflags : {flags}\n')
        assert has_bfloat16(str(tmp_path / 'cpuinfo')) == expected
    assert not has_bfloat16(str(tmp_path / 'none'))


METHODS = dict(
    kd=dict(type='LogitDistiller', losses=[dict(type='KDLoss')]),
    mldrkd=dict(type='MLDRKD'),
    hcd=dict(type='HCD'),
    ofa=dict(type='OFA'),
    fitnet=dict(type='FeatureDistiller', losses=[dict(type='HintLoss')]),
    scratch=dict(type='NetClassifier'),
)


# Rounding changes the sign of activations before a ReLU: a deep CNN with batch norm loses more, also alone.
COSINES = dict(cnn=0.93, vit=0.99, mlp=0.99, vmamba=0.99)


@pytest.mark.parametrize(
    'teacher, student', [('vit', 'cnn'), ('cnn', 'vit'), ('vit', 'mlp'), ('cnn', 'vmamba')]
)
@pytest.mark.parametrize('method', METHODS)
def test_losses_and_gradients_on_a_cpu_agree_with_float32(method, teacher, student, batch):
    config = dict(METHODS[method], student=micro_net(student))
    if method != 'scratch':
        config['teacher'] = micro_net(teacher, checkpoint='random')
    model = MODELS.build(config).train()
    amp = wrapper()

    def step():
        model.zero_grad()
        losses = model.loss(*batch)
        model.parse_losses(losses)[0].backward()
        return losses, torch.cat([x.grad.flatten() for x in model.student.parameters()])

    plain, gradient = step()
    with amp.optim_context(model):
        assert torch.is_autocast_enabled('cpu') and torch.get_autocast_dtype('cpu') == torch.bfloat16
        losses, other = step()
    assert {x.dtype for x in losses.values()} == {torch.float32}
    assert any(not torch.equal(losses[key], plain[key]) for key in plain), 'bfloat16 rounds'
    for key in (x for x in plain if x.startswith('loss')):
        torch.testing.assert_close(losses[key], plain[key], rtol=0.02, atol=1e-4)
    assert torch.cosine_similarity(gradient, other, dim=0) >= COSINES[student]


def test_a_teacher_in_bfloat16_answers_as_outside_of_mixed_precision(batch):
    config = dict(METHODS['kd'], student=micro_net('cnn'))
    config['teacher'] = micro_net('vit', checkpoint='random', dtype='bfloat16')
    model, (inputs, _) = MODELS.build(config), batch
    expected = model.teacher(inputs).logits
    with wrapper().optim_context(model):
        assert torch.equal(model.teacher(inputs).logits, expected)
