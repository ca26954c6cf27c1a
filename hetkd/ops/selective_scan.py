"""Mamba's selective scan on any device."""

import warnings
from typing import Optional, Union

import torch
import torch.nn.functional as F

from hetkd.errors import UserError

from .chunked_scan import ChunkedScan
from .kernel import INSTALL, MAX_STATE, load_kernel, run_kernel
from .parallel_scan import parallel_scan

BACKENDS = ('auto', 'cuda', 'torch')
_warned = False


def selective_scan(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: Optional[torch.Tensor] = None,
    z: Optional[torch.Tensor] = None,
    delta_bias: Optional[torch.Tensor] = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    backend: str = 'auto',
) -> Union[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    r"""Selective state space scan (Mamba, arXiv 2312.00752), with the signature of mamba-ssm's function.

    .. math:: h_t = e^{\Delta_t A} h_{t-1} + \Delta_t B_t u_t, \qquad
              y_t = (C_t^\top h_t + D u_t)\,\mathrm{silu}(z_t), \qquad h_0 = 0

    with :math:`\Delta` = delta + delta_bias, or its softplus if ``delta_softplus``. Computed in float32
    (float64 stays), also under autocast.

    Args:
        u: (batch, d, L).
        delta: (batch, d, L).
        A: (d, N), usually negative.
        B, C: (batch, N, L), or (batch, groups, N, L) where each group of d / groups channels has its own.
        D: (d,), the skip connection; or None.
        z: (batch, d, L), the gate; or None.
        delta_bias: (d,) or None.
        delta_softplus: whether to apply a softplus to delta.
        return_last_state: whether to return the last state too. In plain torch a gradient flows back from
            it; mamba-ssm's kernel drops that gradient.
        backend: ``'cuda'``: mamba-ssm's kernel; ``'torch'``: plain torch, in chunks of time; ``'auto'``: the
            kernel for CUDA tensors where mamba-ssm is installed, else torch (with one warning on CUDA). In
            torch's deterministic mode it is plain torch: the kernel's backward sums in changing order.

    Returns:
        y (batch, d, L) in the dtype of u; with ``return_last_state`` also (batch, d, N) in float32 or
        float64.

    Raises:
        UserError: shapes that do not fit, L = 0, tensors of integers, an unknown backend, or more than 256
            states for the kernel.
        UserError: ``'cuda'`` without a CUDA tensor or without mamba-ssm.
    """
    B, C = (x.unsqueeze(1) if x.dim() == 3 else x for x in (B, C))
    _check(u, delta, A, B, C, D, z, delta_bias)
    kernel = _choose(backend, u, A)
    with torch.autocast(u.device.type, enabled=False):
        if kernel is not None:
            y, last = run_kernel(kernel, u, delta, A, B, C, D, z, delta_bias, delta_softplus)
        else:
            y, last = _torch_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    return (y, last) if return_last_state else y


def _torch_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus):
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    batch, _, length = u.shape
    groups = B.shape[1]

    def by_time(value):
        return value.reshape(batch, groups, -1, length).permute(3, 0, 1, 2).contiguous().to(dtype)

    x, dt, A = by_time(u), by_time(delta), A.to(dtype)
    if delta_bias is not None:
        dt = dt + delta_bias.to(dtype).unflatten(0, (groups, -1))
    if delta_softplus:
        dt = F.softplus(dt)
    scan = parallel_scan if torch.compiler.is_exporting() else ChunkedScan.apply
    y, last = scan(x, dt, A.unflatten(0, (groups, -1)), by_time(B), by_time(C))
    if D is not None:
        y = y + D.to(dtype).unflatten(0, (groups, -1)) * x
    if z is not None:
        y = y * F.silu(by_time(z))
    # A view: whoever reads channels last, as Vim does, needs no other layout.
    return y.flatten(2).permute(1, 2, 0).to(u.dtype), last.flatten(1, 2)


def _choose(backend: str, u, A):
    """The kernel, or None for plain torch."""
    global _warned
    if backend not in BACKENDS:
        raise UserError('backend', f'one of {BACKENDS}', repr(backend))
    plain = not u.is_cuda or torch.are_deterministic_algorithms_enabled()
    if backend == 'torch' or (backend == 'auto' and plain):
        return None
    if not u.is_cuda:
        raise UserError(
            'backend', "a CUDA tensor for 'cuda'", f'one on {u.device.type}', "use backend='auto'"
        )
    kernel, reason = load_kernel()
    if kernel is None and backend == 'cuda':
        raise UserError('backend', "mamba-ssm for 'cuda'", f'an import error ({reason})', f'`{INSTALL}`')
    if kernel is None and not _warned:
        _warned = True
        warnings.warn(
            f'selective_scan: mamba-ssm could not be imported, so the scan runs in plain torch, which is '
            f'slower; `{INSTALL}`. Reason: {reason}',
            stacklevel=3,
        )
    if kernel is not None and (A.shape[1] > MAX_STATE or u.dtype == torch.float64):
        if backend == 'auto':
            return None
        raise UserError(
            'backend',
            f"at most {MAX_STATE} states and no float64 for 'cuda'",
            f'{A.shape[1]} states of {u.dtype}',
            "use backend='torch'",
        )
    return kernel


def _check(u, delta, A, B, C, D, z, delta_bias) -> None:
    tensors = dict(u=u, delta=delta, A=A, B=B, C=C, D=D, z=z, delta_bias=delta_bias)
    for name, x in tensors.items():
        if x is not None and not x.is_floating_point():
            raise UserError('selective_scan', f'{name} of real numbers', x.dtype, 'convert it')
    if u.dim() != 3 or u.shape[0] == 0 or u.shape[2] == 0 or A.dim() != 2:
        raise UserError(
            'selective_scan',
            'u (batch, d, L) with batch, L >= 1 and A (d, N)',
            f'{tuple(u.shape)} and {tuple(A.shape)}',
        )
    (batch, channels, length), states = u.shape, A.shape[1]
    groups = B.shape[1] if B.dim() == 4 else 0
    expected = dict(
        delta=(batch, channels, length),
        A=(channels, states),
        B=(batch, groups, states, length),
        C=(batch, groups, states, length),
        D=(channels,),
        z=(batch, channels, length),
        delta_bias=(channels,),
    )
    for name, shape in expected.items():
        x = tensors[name]
        if x is not None and tuple(x.shape) != shape:
            raise UserError(
                'selective_scan',
                f'{name} {shape} beside u {tuple(u.shape)} and A {tuple(A.shape)}',
                tuple(x.shape),
                'time is the last dimension',
            )
    if channels % groups:
        raise UserError(
            'selective_scan', 'd to be a multiple of the groups of B and C', f'{channels} and {groups}'
        )
