"""A pretended GPU: tensors that say ``cuda:0`` and hold CPU memory.

They refuse what CUDA refuses (tensors of different devices in one operation, and in deterministic mode
operations without a deterministic kernel), and record each point at which the host would wait for the device.
:func:`install` is called before mmengine is imported, in a process of its own.

Limits: ``autocast('cuda')`` is that of the CPU with CUDA's default dtype, inference mode is ``no_grad``, and
cuDNN, streams and the driver are not there.
"""

import contextlib
import os
import traceback
from pathlib import Path

import torch
import torch.utils._pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

CUDA, CPU = torch.device('cuda', 0), torch.device('cpu')
ROOT = str(Path(__file__).resolve().parents[2])
aten = torch.ops.aten

# Reads values on the host, or gives a shape that depends on values.
SYNCS = {
    '_local_scalar_dense',
    'nonzero',
    'masked_select',
    '_unique',
    '_unique2',
    'unique_dim',
    'unique_consecutive',
    'unique_dim_consecutive',
    'equal',
    'is_nonzero',
    'bincount',
    'histc',
    '_linalg_check_errors',
}
# alertNotDeterministic in aten/src/ATen/native/cuda; torch's documentation of use_deterministic_algorithms.
NOT_DETERMINISTIC = {
    '_adaptive_avg_pool2d_backward',
    '_adaptive_avg_pool3d_backward',
    '_ctc_loss_backward',
    '_embedding_bag_dense_backward',
    '_upsample_bicubic2d_aa_backward',
    '_upsample_bilinear2d_aa_backward',
    'adaptive_max_pool2d_backward',
    'avg_pool3d_backward',
    'fractional_max_pool2d_backward',
    'fractional_max_pool3d_backward',
    'grid_sampler_2d_backward',
    'grid_sampler_3d_backward',
    'histc',
    'kthvalue',
    'max_pool3d_with_indices_backward',
    'max_unpool2d',
    'max_unpool3d',
    'median.dim',
    'nll_loss2d_backward',
    'nll_loss2d_forward',
    'put',
    'put_',
    'reflection_pad1d_backward',
    'reflection_pad3d_backward',
    'replication_pad1d_backward',
    'replication_pad2d_backward',
    'replication_pad3d_backward',
    'resize_',
    'scatter_reduce',
    'scatter_reduce_',
    'upsample_bicubic2d_backward',
    'upsample_bilinear2d_backward',
    'upsample_linear1d_backward',
    'upsample_trilinear3d_backward',
}
# Those of cuBLAS, without a fixed workspace.
PRODUCTS = {'mm', 'addmm', 'bmm', 'baddbmm', 'mv', 'addmv', 'dot'}
WORKSPACES = (':4096:8', ':16:8')
NOT_DETERMINISTIC_FLOATS = {'cumsum', 'cumsum_'}
# CUDA kernels that take a scalar from the CPU.
TAKE_SCALARS = {'fill_', 'masked_fill', 'masked_fill_', 'lerp', 'where'}
INDEXING = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index.Tensor,
    aten._unsafe_index_put.default,
}
MOVES = {aten._to_copy.default, aten.copy_.default, aten.copy.default}

_events: list[tuple[str, str, str]] = []
_recording = False
_moving = False


class DeviceMixing(RuntimeError):
    """Tensors of different devices in one operation."""


class NotDeterministic(RuntimeError):
    """An operation that deterministic mode refuses."""


@contextlib.contextmanager
def recording():
    """Gives the list of what makes the host wait: (kind, operation, where)."""
    start()
    try:
        yield _events
    finally:
        stop()


def start():
    global _recording
    _events.clear()
    _recording = True


def stop():
    global _recording
    _recording = False


def _note(kind, operation):
    if _recording:
        _events.append((kind, operation, _where()))


def _where(depth=4):
    """The innermost lines, of hetkd and the libraries around it."""
    places = []
    for frame in traceback.extract_stack():
        name = frame.filename
        if name == __file__ or not (name.startswith(ROOT) or 'site-packages' in name):
            continue
        if name.startswith(ROOT) and 'site-packages' not in name:
            places.append(f'{name.removeprefix(ROOT + "/")}:{frame.lineno}')
        elif not any(x in name for x in ('/torch/_', '/torch/nn/modules/', '/torch/utils/')):
            places.append(f'{name.split("site-packages/")[1]}:{frame.lineno}')
    return ' < '.join(reversed(places[-depth:]))


class Pretended(torch.Tensor):
    """A tensor on the pretended GPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner):
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            inner.stride(),
            inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=CPU,
            requires_grad=False,
        )
        tensor._inner = inner
        return tensor

    # To C++ it lies on the CPU, so that autograd's engine asks for no stream; to Python on the device.
    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def __repr__(self, **_):
        return f'Pretended({self._inner!r})'

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            new = _from_cpu(self._inner.clone(), self.requires_grad)
            if getattr(self, '_is_param', False):
                new._is_param = True
            if self.grad is not None:
                new.grad = self.grad.__deepcopy__(memo)
            memo[id(self)] = new
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return _from_cpu, (self._inner, self.requires_grad)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _from_cpu(tensor, requires_grad):
    return Pretended(tensor).requires_grad_(requires_grad)


class _Mode(TorchDispatchMode):
    """For calls without a tensor on the device: factories and moves to it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _is_cuda(device):
    return device is not None and torch.device(device).type == 'cuda'


def _run(func, args, kwargs):
    """Check an operation, compute it on the CPU, and wrap what would lie on the device."""
    name = func.overloadpacket.__name__
    if func is torch.ops.prim.device.default:
        return args[0].device
    flat, spec = pytree.tree_flatten((args, kwargs))
    theirs = [x for x in flat if isinstance(x, Pretended)]
    plain = [x for x in flat if isinstance(x, torch.Tensor) and not isinstance(x, Pretended)]
    if theirs and name == '_fused_sdp_choice':
        return 0
    if name == '_assert_async':
        return None
    device = _device_of(func, kwargs, theirs)
    on_cuda = _is_cuda(device) if device is not None else bool(theirs)
    if func in MOVES:
        _check_move(name, args, kwargs, on_cuda)
    elif func in INDEXING:
        _check_index(func, args)
        on_cuda = isinstance(args[0], Pretended)
    elif theirs and plain:
        _check_mixing(func, name, theirs, plain)
    if theirs and (name in SYNCS or (name == 'repeat_interleave' and kwargs.get('output_size') is None)):
        _note('sync', name)
    if theirs and torch.are_deterministic_algorithms_enabled():
        _check_deterministic(func, name, theirs)
    inner = [x._inner if isinstance(x, Pretended) else x for x in flat]
    inner_args, inner_kwargs = pytree.tree_unflatten(inner, spec)
    if _is_cuda(inner_kwargs.get('device')):
        inner_kwargs = dict(inner_kwargs, device=CPU)
    if inner_kwargs.get('pin_memory'):
        inner_kwargs = dict(inner_kwargs, pin_memory=False)
    out = func(*inner_args, **inner_kwargs)
    if name == '_to_copy' and any(out is x for x in inner):
        out = out.clone()
    if not on_cuda:
        # In place on a tensor of the CPU: the tensor itself.
        return args[0] if any(out is x for x in inner) else out
    wrapped = pytree.tree_map_only(torch.Tensor, Pretended, out)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if theirs else wrapped


def _device_of(func, kwargs, theirs):
    """The device that is really asked for: C++ takes our tensors to be on the CPU and asks for that."""
    device = kwargs.get('device')
    moves = func is aten._to_copy.default
    in_backward = torch._C._current_graph_task_id() != -1
    if device is not None and not _is_cuda(device) and ((theirs and not moves) or in_backward):
        device = None if theirs else CUDA
    return None if moves and theirs and not _moving else device


def _check_move(name, args, kwargs, on_cuda):
    copies = name.startswith('copy')
    source = args[1] if copies else args[0]
    to_cuda = isinstance(args[0], Pretended) if copies else on_cuda
    if isinstance(source, Pretended) == to_cuda or not source.numel():
        return
    free = kwargs.get('non_blocking', args[2] if copies and len(args) > 2 else False)
    shape = f'{name}{tuple(source.shape)}'
    if not to_cuda:
        _note('read', shape)
    elif not free:
        _note('blocking copy', shape)
    elif not getattr(source, '_pinned', False):
        _note('copy from memory that is not pinned', shape)


def _check_index(func, args):
    on_cuda = isinstance(args[0], Pretended)
    for index in args[1]:
        if index is None:
            continue
        if isinstance(index, Pretended) and not on_cuda:
            raise DeviceMixing(f'{func}: an index on cuda:0 of a tensor on the CPU')
        if on_cuda and not isinstance(index, Pretended):
            _note('blocking copy', f'{func} with an index on the CPU')
        if on_cuda and index.dtype in (torch.bool, torch.uint8):
            _note('sync', f'{func} with a mask')
    value = args[2] if len(args) > 2 else None
    mixed = isinstance(value, torch.Tensor) and isinstance(value, Pretended) != on_cuda
    if mixed and not (on_cuda and value.dim() == 0):
        raise DeviceMixing(f'{func}: tensor and values on different devices')


def _check_mixing(func, name, theirs, plain):
    takes = torch.Tag.pointwise in func.tags or name in TAKE_SCALARS or name.startswith('_foreach')
    if any(x.dim() for x in plain) or not takes:
        shapes = [(tuple(x.shape), x.device.type) for x in theirs + plain]
        raise DeviceMixing(f'expected all tensors to be on the same device in {func}: {shapes}')


def _check_deterministic(func, name, theirs):
    overload = f'{name}.{func._overloadname}'
    if name in PRODUCTS and os.environ.get('CUBLAS_WORKSPACE_CONFIG') not in WORKSPACES:
        raise NotDeterministic(f'{overload} without CUBLAS_WORKSPACE_CONFIG')
    floats = name in NOT_DETERMINISTIC_FLOATS and theirs[0].is_floating_point()
    if name in NOT_DETERMINISTIC or overload in NOT_DETERMINISTIC or floats:
        raise NotDeterministic(f'{overload} has no deterministic implementation on CUDA')


def install():
    """Make torch believe that there is one GPU; for the rest of the process."""
    cuda = torch.cuda
    for name, value in dict(
        _lazy_init=None,
        is_available=True,
        device_count=1,
        current_device=0,
        set_device=None,
        is_initialized=False,
        manual_seed=None,
        manual_seed_all=None,
        max_memory_allocated=0,
        memory_allocated=0,
        memory_reserved=0,
        max_memory_reserved=0,
        reset_peak_memory_stats=None,
        empty_cache=None,
        get_device_name='pretended',
        get_device_capability=(9, 0),
        is_bf16_supported=True,
    ).items():
        setattr(cuda, name, lambda *_, _value=value, **__: _value)
    torch.cuda.random.manual_seed = torch.cuda.random.manual_seed_all = lambda *_: None
    cuda.synchronize = lambda *_: _note('sync', 'torch.cuda.synchronize')
    torch.accelerator.is_available = lambda: True
    torch._C._set_only_lift_cpu_tensors(True)
    torch.backends.cudnn.enabled = False
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    _patch_optimizers()
    _patch_constructors()
    _patch_moves()
    _patch_modes()
    _Mode().__enter__()


def _patch_optimizers():
    from torch.optim import optimizer

    optimizer._foreach_supported_types.append(Pretended)
    for name in ('_accelerator_graph_capture_health_check', '_cuda_graph_capture_health_check'):
        if hasattr(optimizer.Optimizer, name):
            setattr(optimizer.Optimizer, name, lambda self: None)
    # C++ groups by the device that it sees.
    clip = torch.nn.utils.clip_grad
    group = clip._group_tensors_by_device_and_dtype

    def by_python(tensors, *args, **kwargs):
        groups = group(tensors, *args, **kwargs)
        return {(found[0][0].device, dtype): (found, i) for (_, dtype), (found, i) in groups.items()}

    clip._group_tensors_by_device_and_dtype = by_python


def _patch_constructors():
    """``torch.tensor(..., device='cuda')`` would ask the driver: build on the CPU, then move."""
    for name in ('tensor', 'as_tensor', 'asarray'):
        real = getattr(torch, name)

        def made(data, *args, _real=real, device=None, **kwargs):
            out = data if isinstance(data, Pretended) else _real(data, *args, **kwargs)
            return out if device is None else out.to(device)

        setattr(torch, name, made)

    def new_tensor(self, data, dtype=None, device=None, requires_grad=False):
        out = torch.tensor(data, dtype=dtype or self.dtype).to(device or self.device)
        return out.requires_grad_(requires_grad)

    torch.Tensor.new_tensor = new_tensor


def _move(self, device=None, dtype=None, non_blocking=False, copy=False, memory_format=None):
    global _moving
    here = self.device
    device = here if device is None else CUDA if _is_cuda(device) else torch.device(device)
    same = memory_format in (None, torch.preserve_format) or self.is_contiguous(memory_format=memory_format)
    if not copy and device == here and dtype in (None, self.dtype) and same:
        return self
    options = dict(dtype=dtype, non_blocking=non_blocking, memory_format=memory_format)
    if device != here:
        options['device'] = device
    _moving = device != here
    try:
        return aten._to_copy.default(self, **{k: v for k, v in options.items() if v is not None})
    finally:
        _moving = False


def _patch_moves():
    tensor = torch.Tensor
    tolist = tensor.tolist

    def to(self, *args, copy=False, memory_format=None, **kwargs):
        other = kwargs.pop('other', None)
        if args and isinstance(args[0], torch.Tensor):
            other, args = args[0], args[1:]
        if other is not None:
            kwargs = dict(zip(('non_blocking', 'copy'), args)) | kwargs
            return _move(self, other.device, other.dtype, memory_format=memory_format, copy=copy, **kwargs)
        if len(args) > 2 and isinstance(args[-1], bool) and isinstance(args[-2], bool):
            args, copy = args[:-1], args[-1]
        device, dtype, non_blocking, found = torch._C._nn._parse_to(*args, **kwargs)
        return _move(self, device, dtype, non_blocking, copy, memory_format or found)

    def pin_memory(self, *_):
        pinned = self.detach()
        pinned._pinned = True
        return pinned

    def refusing(real):
        def convert(self, *args, **kwargs):
            if isinstance(self, Pretended):
                raise TypeError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() first")
            return real(self, *args, **kwargs)

        return convert

    tensor.to = to
    tensor.cpu = lambda self, memory_format=None: _move(self, CPU)
    tensor.cuda = lambda self, device=None, non_blocking=False, **_: _move(self, CUDA, None, non_blocking)
    tensor.tolist = lambda self: tolist(_move(self, CPU))
    tensor.type_as = lambda self, other: _move(self, other.device, other.dtype)
    tensor.pin_memory = pin_memory
    tensor.is_pinned = lambda self, *_: getattr(self, '_pinned', False)
    tensor.numpy, tensor.__array__ = refusing(tensor.numpy), refusing(tensor.__array__)


def _patch_modes():
    autocast_init = torch.autocast.__init__

    def init(self, device_type, *args, **kwargs):
        # The CPU's kernels stand for CUDA's; CUDA's default dtype is kept.
        if device_type == 'cuda' and not args and kwargs.get('dtype') is None:
            kwargs['dtype'] = torch.float16
        if device_type != 'cuda' and kwargs.get('enabled', True):
            _note('autocast of another device', device_type)
        autocast_init(self, 'cpu', *args, **kwargs)

    class NoGrad(torch.no_grad):
        """A wrapper has no version counter in inference mode; what that forbids shows on a CPU as well."""

        def __new__(cls, mode=True):
            return torch.no_grad()(mode) if callable(mode) else super().__new__(cls)

        def __init__(self, mode=True):
            super().__init__()

    real = torch.nn.functional.one_hot

    def one_hot(tensor, num_classes=-1):
        if not isinstance(tensor, Pretended):
            return real(tensor, num_classes)
        if num_classes == -1:
            _note('sync', 'one_hot without num_classes')
        return Pretended(real(tensor._inner, num_classes))

    torch.autocast.__init__ = init
    torch.inference_mode = NoGrad
    torch.nn.functional.one_hot = one_hot
