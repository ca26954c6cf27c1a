"""What a CPU computes in float32 under bfloat16's autocast, since its gradient is slow in bfloat16."""

import torch
from torch.nn.functional import conv2d, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only


class FloatWhereFaster(TorchFunctionMode):
    """Attention, and depthwise convolutions with a stride: torch 2.15 takes 4 and 4 to 24 times as long.

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


def _strides_by_channel(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> bool:
    steps = stride if isinstance(stride, (tuple, list)) else (stride,)
    return 1 < groups == input.shape[-3] and max(steps) > 1


def _float(x: torch.Tensor) -> torch.Tensor:
    return x.float() if x.dtype == torch.bfloat16 else x


# By the function, whether it is slow with these arguments.
SLOW = {scaled_dot_product_attention: lambda *args, **kwargs: True, conv2d: _strides_by_channel}
