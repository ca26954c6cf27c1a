"""Automatic mixed precision, on a CPU as well."""

import logging
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper as GpuAmpOptimWrapper
from mmengine.optim import OptimWrapper
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from hetkd.errors import UserError
from hetkd.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(GpuAmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper`` without a loss scale in bfloat16, and for CPUs.

    bfloat16 has the range of float32. A loss scale would only wait for the device to look for overflows.
    On a CPU attention itself stays in float32: the gradient of torch's kernel in bfloat16 takes a small ViT 4
    times as long.

    Args:
        loss_scale: of float16; see mmengine's. Default: dynamic.
        dtype: ``'float16'`` or ``'bfloat16'``. Default: float16 on a GPU, bfloat16 on a CPU.
        use_fsdp: see mmengine's.
        **kwargs: those of ``OptimWrapper``.

    Raises:
        UserError: another dtype than bfloat16 on a CPU.
    """

    def __init__(self, loss_scale='dynamic', dtype=None, use_fsdp=False, **kwargs):
        on_cpu = get_device() == 'cpu'
        if dtype is None and on_cpu:
            dtype = 'bfloat16'
        if dtype in ('bfloat16', torch.bfloat16):
            OptimWrapper.__init__(self, **kwargs)  # mmengine's own constructor refuses a CPU
            self.cast_dtype, self._scale_update_param = torch.bfloat16, None
            self.loss_scaler = torch.amp.GradScaler(enabled=False)
            if on_cpu and not has_bfloat16():
                print_log(
                    'optim_wrapper: AmpOptimWrapper on a processor without avx512_bf16 and amx_bf16 is '
                    'slower than float32: --cfg-options optim_wrapper.type=OptimWrapper',
                    'current',
                    logging.WARNING,
                )
        elif on_cpu:
            raise UserError(
                'optim_wrapper.dtype', 'bfloat16 on a CPU', dtype, 'leave it out, or train on a GPU'
            )
        else:
            super().__init__(loss_scale, dtype, use_fsdp, **kwargs)
        self._on_cpu = on_cpu

    @contextmanager
    def optim_context(self, model: torch.nn.Module):
        """mmengine's, with attention in float32 on a CPU."""
        with super().optim_context(model):
            if self._on_cpu:
                with _FloatAttention():
                    yield
            else:
                yield


class _FloatAttention(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # Within its own precision, as of a teacher in bfloat16, attention keeps to that.
        if func is not scaled_dot_product_attention or not torch.is_autocast_enabled('cpu'):
            return func(*args, **kwargs)
        args, kwargs = tree_map_only(torch.Tensor, _float, (args, kwargs))
        with torch.autocast('cpu', enabled=False):
            return func(*args, **kwargs)


def _float(x: torch.Tensor) -> torch.Tensor:
    return x.float() if x.dtype == torch.bfloat16 else x


def has_bfloat16(cpuinfo: str = '/proc/cpuinfo') -> bool:
    """Whether the processor multiplies bfloat16 matrices. False where the system does not tell."""
    try:
        flags = Path(cpuinfo).read_text().split()
    except OSError:
        return False
    return 'avx512_bf16' in flags or 'amx_bf16' in flags
