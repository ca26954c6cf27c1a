"""mamba-ssm's CUDA kernel, imported at first use and never on a CPU."""

import importlib
from functools import lru_cache
from typing import Callable, Optional

INSTALL = 'pip install --no-build-isolation mamba-ssm'
MAX_STATE = 256


@lru_cache(maxsize=1)
def load_kernel() -> tuple[Optional[Callable], str]:
    """mamba-ssm's ``selective_scan_fn``, or None and the reason.

    The import may raise any error, e.g. where triton, the compiled extension or transformers do not fit.
    """
    try:
        return importlib.import_module('mamba_ssm.ops.selective_scan_interface').selective_scan_fn, ''
    except Exception as error:
        return None, f'{type(error).__name__}: {error}'


def run_kernel(kernel, u, delta, A, B, C, D, z, delta_bias, delta_softplus):
    """Call the kernel with the dtypes and layout it needs; returns y in the dtype of u and the last state."""
    dtype = u.dtype
    u, delta, B, C = (x.to(dtype).contiguous() for x in (u, delta, B, C))
    z = None if z is None else z.to(dtype).contiguous()
    A, D, delta_bias = (None if x is None else x.float().contiguous() for x in (A, D, delta_bias))
    return kernel(u, delta, A, B, C, D, z, delta_bias, delta_softplus, True)
