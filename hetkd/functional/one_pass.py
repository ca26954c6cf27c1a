"""Attach a gradient that was computed together with its value."""

import torch

from hetkd.errors import UserError


def with_gradient(x: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """``value``, whose derivative with respect to ``x`` is ``gradient``.

    For equations whose gradient costs little once the value is known: autograd would keep every intermediate.

    Args:
        x: the variable, of any shape.
        value: scalar, or the leading shape of ``x``; computed from ``x`` without autograd.
        gradient: as large as ``x``; entry by entry that of the value at the same leading index.

    Raises:
        UserError: a second derivative is asked for (backward with ``create_graph=True``).
    """
    return _WithGradient.apply(x, value, gradient)


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, value, gradient):
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx, grad_value):
        if torch.is_grad_enabled():
            # The gradient is a saved constant: a second derivative would silently miss it.
            raise UserError(
                'hetkd.functional',
                'a first derivative',
                'backward with create_graph=True',
                'this loss is differentiable once',
            )
        (gradient,) = ctx.saved_tensors
        trailing = (1,) * (gradient.dim() - grad_value.dim())
        return grad_value.reshape(grad_value.shape + trailing) * gradient, None, None
