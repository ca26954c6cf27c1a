"""What a CPU computes in float32 under bfloat16's autocast, as its gradient is slow or wrong in bfloat16."""

import torch
from torch.nn.functional import conv2d, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only


class FloatWhereFaster(TorchFunctionMode):
    """Attention, and depthwise convolutions with a stride: torch 2.15 takes 4 and 4 to 24 times as long.

    Any convolution of maps smaller than its stride as well: the gradient of its weight is read from memory
    that nobody has written (ResNet's last stage at 16 px).

    It acts within autocast alone: where that is off, as in a teacher of its own ``dtype``, nothing changes.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """The function, on float32 where that is faster."""
        kwargs = kwargs or {}
        is_slow = SLOW.get(func)
        if is_slow is None or not torch.is_autocast_enabled('cpu') or not is_slow(*args, **kwargs):
            return func(*args, **kwargs)
        args, kwargs = tree_map_only(torch.Tensor, _float, (args, kwargs))
        with torch.autocast('cpu', enabled=False):
            return func(*args, **kwargs)


def _strides(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> bool:
    steps = stride if isinstance(stride, (tuple, list)) else (stride,)
    return max(steps) > 1 and (1 < groups == input.shape[-3] or min(input.shape[-2:]) < max(steps))


def _float(x: torch.Tensor) -> torch.Tensor:
    return x.float() if x.dtype == torch.bfloat16 else x


# By the function, whether it is slow, or wrong, with these arguments.
SLOW = {scaled_dot_product_attention: lambda *args, **kwargs: True, conv2d: _strides}
