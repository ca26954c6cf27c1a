"""Selective scan: a float64 reference loop, gradients, backends, bad input."""

import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch

from hetkd.errors import UserError
from hetkd.ops import chunked_scan, kernel, selective_scan
from tests.reference.mamba import scan_loops, scan_steps

LONGEST = chunked_scan.LONGEST
scan_module = sys.modules['hetkd.ops.selective_scan']
CUDA = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')]


def make(batch=2, channels=4, states=3, length=7, groups=1, dtype=torch.float64, device='cpu'):
    """u, delta, A, B, C, D, z, delta_bias."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, channels, length)] * 2 + [(channels, states)] + [(batch, groups, states, length)] * 2
    shapes += [(channels,), (batch, channels, length), (channels,)]
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    tensors[2] = -tensors[2].abs() - 0.1
    return [x.to(device, dtype) for x in tensors]


@pytest.mark.parametrize('length', [1, 2, 7, LONGEST, 2 * LONGEST + 3])
@pytest.mark.parametrize('groups, states', [(1, 1), (1, 4), (2, 3), (4, 1)])
def test_it_is_the_recurrence(groups, states, length):
    u, delta, A, B, C, D, z, bias = make(1, 4, states, length, groups)
    y, last = selective_scan(u, delta, A, B, C, D, z, bias, True, True)
    for ours, loops in zip((y, last), scan_loops(u, delta, A, B, C, D, z, bias, True)):
        torch.testing.assert_close(ours, loops)
    plain = selective_scan(u, delta, A, B, C)
    torch.testing.assert_close(plain, scan_loops(u, delta, A, B, C)[0])
    half = selective_scan(*(x.float() for x in (u, delta, A, B, C, D, z, bias)), delta_softplus=True)
    assert ((half - y).norm() / y.norm()).item() < 1e-6


@pytest.mark.parametrize('length', [1, 2, 3, 8, 50])
@pytest.mark.parametrize('groups, states', [(1, 1), (2, 3)])
def test_the_exported_form_is_the_same_recurrence(groups, states, length, monkeypatch):
    inputs = make(3, 4, states, length, groups)
    expected = selective_scan(*inputs, delta_softplus=True, return_last_state=True)
    monkeypatch.setattr(torch.compiler, 'is_exporting', lambda: True)
    monkeypatch.setattr(scan_module.ChunkedScan, 'apply', None)
    for ours, other in zip(selective_scan(*inputs, delta_softplus=True, return_last_state=True), expected):
        torch.testing.assert_close(ours, other)


@pytest.mark.parametrize('groups', [1, 2, 4])
@pytest.mark.parametrize('states', [1, 2, 4])
@pytest.mark.parametrize('length', [1, 4, 9])
def test_gradcheck(groups, states, length, monkeypatch):
    monkeypatch.setattr(chunked_scan, 'LONGEST', 4)
    monkeypatch.setattr(chunked_scan, 'SHORTEST', 2)
    inputs = [x.requires_grad_() for x in make(1, 4, states, length, groups)]
    assert torch.autograd.gradcheck(lambda *x: selective_scan(*x, True, True), inputs)


def test_float32_gradients_are_those_of_a_float64_loop():
    inputs = make(2, 8, 16, 100, 2)
    weight = torch.randn(2, 8, 100, dtype=torch.float64)

    def gradients(scan, dtype):
        leaves = [x.to(dtype, copy=True).requires_grad_() for x in inputs]
        y, last = scan(*leaves, True) if scan is scan_steps else scan(*leaves, True, True)
        return torch.autograd.grad((y * weight.to(dtype)).sum() + last.sum(), leaves)

    for ours, expected in zip(gradients(selective_scan, torch.float32), gradients(scan_steps, torch.float64)):
        assert ((ours - expected).norm() / expected.norm()).item() < 1e-6


def test_mambas_own_start_is_finite_over_a_long_sequence():
    """Implementations by exp(cumsum) return NaN here."""
    u, delta, _, B, C, *_ = make(1, 4, 16, 2000, 1, torch.float32)
    A = -torch.arange(1.0, 17).expand(4, 16)
    u.requires_grad_()
    y = selective_scan(u, delta, A, B, C, delta_softplus=True)
    y.sum().backward()
    assert y.isfinite().all() and u.grad.isfinite().all()


def test_three_dimensional_b_and_c_are_one_group():
    u, delta, A, B, C, *_ = make()
    assert torch.equal(selective_scan(u, delta, A, B[:, 0], C[:, 0]), selective_scan(u, delta, A, B, C))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_inputs_and_autocast_are_computed_in_float32(dtype):
    inputs = make(dtype=torch.float32)
    halves = [x.to(dtype) for x in inputs]
    y, last = selective_scan(*halves, True, True)
    assert y.dtype == dtype and last.dtype == torch.float32
    expected = selective_scan(*(x.float() for x in halves), True)
    torch.testing.assert_close(y, expected.to(dtype))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(selective_scan(*inputs, True), selective_scan(*inputs, True, backend='torch'))
    assert selective_scan(*inputs, True).dtype == torch.float32


def test_only_states_at_chunk_borders_are_kept():
    inputs = [x.requires_grad_() for x in make(2, 8, 16, 4 * LONGEST, 1, torch.float32)]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        selective_scan(*inputs[:5])
    states = 2 * 8 * 16
    assert sum(size == states for size in saved) == 4 and max(saved) < states * LONGEST


@pytest.mark.parametrize('entries, step', [(1, 64), (2**13, 32), (2**15, 8), (2**20, 8)])
def test_chunks_are_shorter_where_a_step_is_bigger(entries, step):
    chunks = chunked_scan._chunks(torch.empty(100, 1, 1, entries, device='meta'), torch.empty(1, 1, entries))
    assert chunks[0] == slice(0, step) and chunks[-1].stop == 100
    assert [x.start for x in chunks] == list(range(0, 100, step))


def test_a_second_derivative_is_refused():
    u, *rest = (x.requires_grad_() for x in make())
    loss = selective_scan(u, *rest[:4]).square().sum()
    (first,) = torch.autograd.grad(loss, u, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        first.sum().backward()


BAD = {
    'length 0': (dict(u=torch.zeros(2, 4, 0)), r'expected u \(batch, d, L\) with batch, L >= 1'),
    'batch 0': (dict(u=torch.zeros(0, 4, 7)), r'expected u \(batch, d, L\) with batch, L >= 1'),
    'two dimensions': (dict(u=torch.zeros(2, 4)), r'expected u \(batch, d, L\)'),
    'integers': (
        dict(u=torch.zeros(2, 4, 7, dtype=torch.long)),
        'expected u of real numbers, got torch.int64',
    ),
    'time first': (
        dict(u=torch.zeros(2, 7, 4)),
        r'expected delta \(2, 7, 4\).*got \(2, 4, 7\); time is the last',
    ),
    'delta': (dict(delta=torch.zeros(2, 4, 8)), r'expected delta \(2, 4, 7\)'),
    'A': (dict(A=torch.zeros(5, 3)), r'expected A \(4, 3\)'),
    'B of other states': (dict(B=torch.zeros(2, 1, 2, 7)), r'expected B \(2, 1, 3, 7\)'),
    'C of other groups': (dict(C=torch.zeros(2, 2, 3, 7)), r'expected C \(2, 1, 3, 7\)'),
    'D': (dict(D=torch.zeros(3)), r'expected D \(4,\)'),
    'z': (dict(z=torch.zeros(2, 4, 6)), r'expected z \(2, 4, 7\)'),
    'bias': (dict(delta_bias=torch.zeros(4, 1)), r'expected delta_bias \(4,\)'),
    'groups': (
        dict(B=torch.zeros(2, 3, 3, 7), C=torch.zeros(2, 3, 3, 7)),
        'd to be a multiple of the groups',
    ),
    'backend': (dict(backend='triton'), "backend: expected one of .*got 'triton'"),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_named(case):
    change, message = BAD[case]
    names = ('u', 'delta', 'A', 'B', 'C', 'D', 'z', 'delta_bias')
    with pytest.raises(UserError, match=message):
        selective_scan(**{**dict(zip(names, make(dtype=torch.float32))), **change})


def test_the_kernel_on_a_cpu_tensor_is_refused():
    with pytest.raises(UserError, match='expected a CUDA tensor'):
        selective_scan(*make()[:5], backend='cuda')


def test_on_a_cpu_nothing_of_mamba_ssm_is_imported(tmp_path):
    """A fake mamba_ssm is importable while a Vim runs forward and backward."""
    (tmp_path / 'mamba_ssm').mkdir()
    (tmp_path / 'mamba_ssm/__init__.py').write_text('')
    code = (
        'import sys, torch, hetkd.models\n'
        'from hetkd.models.backbones import Vim, VMamba\n'
        'for net in (Vim(embed_dim=8, depth=1, img_size=32), VMamba(embed_dim=8, depths=(1, 1))):\n'
        '    net(torch.zeros(1, 3, 32, 32)).sum().backward()\n'
        'assert not [name for name in sys.modules if "mamba_ssm" in name or "selective_scan_cuda" in name]\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], env={'PYTHONPATH': f'{tmp_path}:.'}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def on_cuda(monkeypatch):
    """CPU tensors that claim to be on CUDA; no cached import, no earlier warning."""
    monkeypatch.setattr(scan_module, '_warned', False)
    kernel.load_kernel.cache_clear()
    yield lambda dtype=torch.float32: SimpleNamespace(is_cuda=True, dtype=dtype, device=torch.device('cuda'))
    kernel.load_kernel.cache_clear()


def test_without_the_package_a_cuda_tensor_warns_once_and_runs_in_torch(on_cuda, monkeypatch):
    monkeypatch.setattr(kernel.importlib, 'import_module', broken)
    A = torch.zeros(4, 3)
    with pytest.warns(UserWarning, match='plain torch.*pip install.*Reason: OSError: libcuda'):
        assert scan_module._choose('auto', on_cuda(), A) is None
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert scan_module._choose('auto', on_cuda(), A) is None
    with pytest.raises(UserError, match='expected mamba-ssm.*OSError: libcuda.*pip install'):
        scan_module._choose('cuda', on_cuda(), A)


def broken(name):
    raise OSError('libcuda')


def test_the_kernel_is_taken_where_it_can_be_imported_and_its_limits_are_kept(on_cuda, monkeypatch):
    asked = []
    module = SimpleNamespace(selective_scan_fn='kernel')
    monkeypatch.setattr(kernel.importlib, 'import_module', lambda name: asked.append(name) or module)
    for _ in range(2):
        assert scan_module._choose('auto', on_cuda(), torch.zeros(4, 256)) == 'kernel'
    assert asked == ['mamba_ssm.ops.selective_scan_interface'], 'the import is remembered'
    for states, dtype in ((257, torch.float32), (3, torch.float64)):
        A = torch.zeros(4, states)
        assert scan_module._choose('auto', on_cuda(dtype), A) is None
        with pytest.raises(UserError, match=f'at most 256 states and no float64.*got {states} states'):
            scan_module._choose('cuda', on_cuda(dtype), A)
    assert scan_module._choose('torch', on_cuda(), torch.zeros(4, 3)) is None


def test_a_deterministic_run_takes_the_plain_scan(on_cuda, monkeypatch):
    module = SimpleNamespace(selective_scan_fn='kernel')
    monkeypatch.setattr(kernel.importlib, 'import_module', lambda name: module)
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: True)
    assert scan_module._choose('auto', on_cuda(), torch.zeros(4, 3)) is None
    assert scan_module._choose('cuda', on_cuda(), torch.zeros(4, 3)) == 'kernel', 'where it is asked for'


def test_the_kernel_gets_the_types_and_the_layout_it_asks_for():
    seen = {}

    def fake(u, delta, A, B, C, D, z, delta_bias, delta_softplus, return_last_state):
        seen.update(locals())
        return u, A

    u, delta, A, B, C, D, z, bias = make(dtype=torch.float32)
    strided = u.mT.contiguous().mT
    kernel.run_kernel(fake, strided.bfloat16(), delta, A.bfloat16(), B, C, D, z, bias, True)
    assert {seen[name].dtype for name in ('u', 'delta', 'B', 'C', 'z')} == {torch.bfloat16}
    assert {seen[name].dtype for name in ('A', 'D', 'delta_bias')} == {torch.float32}
    assert all(x.stride(-1) == 1 for x in seen.values() if torch.is_tensor(x))
    assert seen['delta_softplus'] is True and seen['return_last_state'] is True
    kernel.run_kernel(fake, u, delta, A, B, C, None, None, None, False)
    assert seen['D'] is seen['z'] is seen['delta_bias'] is None


@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize('groups', [1, pytest.param(4)])
@pytest.mark.parametrize('backend', [pytest.param('cuda', marks=CUDA), pytest.param('torch', marks=CUDA)])
def test_on_a_gpu_it_is_the_cpus_value_and_gradient(backend, groups, dtype, tolerance):
    if backend == 'cuda' and kernel.load_kernel()[0] is None:
        pytest.skip(f'mamba-ssm: {kernel.load_kernel()[1]}')

    from_last = backend == 'torch'  # the kernel drops the gradient of the last state

    def run(device, backend):
        leaves = [x.requires_grad_() for x in make(2, 64, 16, 196, groups, torch.float32, device)]
        halves = [x.to(dtype) if i in (0, 1, 3, 4, 6) else x for i, x in enumerate(leaves)]
        y, last = selective_scan(*halves, True, True, backend=backend)
        grads = torch.autograd.grad(y.float().sum() + from_last * last.sum(), leaves)
        return [x.float().cpu() for x in (y, last, *grads)]

    for ours, expected in zip(run('cuda', backend), run('cpu', 'torch')):
        assert ((ours - expected).norm() / expected.norm()).item() < tolerance
