"""Automatic mixed precision, on a CPU as well."""

import logging
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper as GpuAmpOptimWrapper
from mmengine.optim import OptimWrapper

from hetkd.errors import UserError
from hetkd.registry import OPTIM_WRAPPERS

from .float_where_faster import FloatWhereFaster


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(GpuAmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper`` without a loss scale in bfloat16, and for CPUs.

    bfloat16 has the range of float32. A loss scale would only wait for the device to look for overflows.
    On a CPU what is slower in it stays in float32; see
    :class:`~hetkd.engine.float_where_faster.FloatWhereFaster`.

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
                    'optim_wrapper: AmpOptimWrapper on a processor that names neither avx512_bf16 nor '
                    'amx_bf16 may be slower than float32: --cfg-options optim_wrapper.type=OptimWrapper',
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
        """mmengine's; on a CPU what is slower in bfloat16 stays in float32."""
        with super().optim_context(model), FloatWhereFaster() if self._on_cpu else nullcontext():
            yield


def has_bfloat16(cpuinfo: str = '/proc/cpuinfo') -> bool:
    """Whether the processor multiplies bfloat16 matrices. False where the system does not tell."""
    try:
        flags = Path(cpuinfo).read_text().split()
    except OSError:
        return False
    return 'avx512_bf16' in flags or 'amx_bf16' in flags
