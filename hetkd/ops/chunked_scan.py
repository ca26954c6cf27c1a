"""Selective scan in plain torch: chunks of time, whose states are recomputed in the backward pass."""

import torch
from torch.autograd.function import once_differentiable

# Time steps in a chunk: least, most, and the number of state entries that fits a CPU's cache.
SHORTEST, LONGEST, ENTRIES = 8, 64, 2**18


class ChunkedScan(torch.autograd.Function):
    r"""The recurrence of :func:`hetkd.ops.selective_scan` without its D, z and bias.

    .. math:: h_t = e^{\Delta_t A} h_{t-1} + \Delta_t B_t u_t, \qquad y_t = C_t^\top h_t

    Time is the first dimension, so that a step is one in-place operation on contiguous memory; channels are
    the last, of which there are many more than states. Only the states at the borders of chunks are kept.
    The backward pass recomputes a chunk's states and runs the recurrence of their gradients from its end.

    Shapes: u, dt (L, batch, groups, E), A (groups, E, N), B, C (L, batch, groups, N). Returns y like u and
    the last state (batch, groups, E, N). One dtype, float32 or float64.
    """

    @staticmethod
    def forward(ctx, u, dt, A, B, C):
        A = A.mT.contiguous()
        state = u.new_zeros(*u.shape[1:-1], *A.shape[1:])
        borders, y = [], torch.empty_like(u)
        for part in _chunks(u, A):
            borders.append(state)
            _, states = _states(u[part], dt[part], A, B[part], state)
            state = states[-1].clone()
            torch.sum(states.mul_(C[part].unsqueeze(-1)), -2, out=y[part])
        ctx.save_for_backward(u, dt, A, B, C, *borders)
        return y, state.mT

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_y, grad_last):
        """Gradients of all inputs, from the last chunk to the first."""
        u, dt, A, B, C, *borders = ctx.saved_tensors
        grad_u, grad_dt, grad_B, grad_C = (torch.empty_like(x) for x in (u, dt, B, C))
        grad_A, carry = torch.zeros_like(A), grad_last.mT
        for part, border in reversed(list(zip(_chunks(u, A), borders))):
            decay, states = _states(u[part], dt[part], A, B[part], border)
            gy = grad_y[part].unsqueeze(-2)
            torch.sum(states * gy, -1, out=grad_C[part])
            # The gradient of each state: its own y and what the next step passes back.
            grad = C[part].unsqueeze(-1) * gy
            grad[-1] += carry
            for t in range(len(grad) - 1, 0, -1):
                grad[t - 1].addcmul_(decay[t], grad[t])
            carry = decay[0] * grad[0]
            torch.sum(grad * (u[part] * dt[part]).unsqueeze(-2), -1, out=grad_B[part])
            grad_x = (grad * B[part].unsqueeze(-1)).sum(-2)
            # d(dt A) = grad * decay * the state before.
            grad.mul_(decay)
            grad[1:].mul_(states[:-1])
            grad[0].mul_(border)
            grad_dt[part] = (grad * A).sum(-2).addcmul_(grad_x, u[part])
            grad_A += grad.mul_(dt[part].unsqueeze(-2)).sum((0, 1))
            torch.mul(grad_x, dt[part], out=grad_u[part])
        return grad_u, grad_dt, grad_A.mT, grad_B, grad_C


def _chunks(u, A) -> list[slice]:
    step = max(SHORTEST, min(LONGEST, ENTRIES // (u[0].numel() * A.shape[1])))
    return [slice(begin, min(begin + step, len(u))) for begin in range(0, len(u), step)]


def _states(u, dt, A, B, state):
    """Decay exp(dt A) and all states (T, batch, groups, N, E) of a chunk that begins from ``state``."""
    decay = torch.exp_(dt.unsqueeze(-2) * A)
    states = B.unsqueeze(-1) * (u * dt).unsqueeze(-2)
    for t in range(len(states)):
        state = states[t].addcmul_(decay[t], state)
    return decay, states
