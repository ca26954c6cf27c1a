"""How a net is run: number format and compilation."""

from typing import Optional

import torch
import torch._functorch.config

from hetkd.errors import UserError

DTYPES = ('bfloat16', 'float16')


def to_dtype(name: Optional[str]) -> Optional[torch.dtype]:
    """The dtype of a name, or None for None.

    Raises:
        UserError: another name.
    """
    if name is None:
        return None
    if name not in DTYPES:
        raise UserError('dtype', f'one of {DTYPES} or None (as loaded)', repr(name))
    return getattr(torch, name)


def compile_net(net, **asked) -> None:
    """Run a net through ``torch.compile`` from now on; its parameters keep their names.

    Args:
        net: a :class:`~hetkd.models.nets.Net`.
        **asked: what it will be asked for (``stages``, ``embedding``). It is asked once before, so that what
            it finds out by probing is no part of the compiled graph.
    """
    # PreflightLoop and GradientCosineHook go backward several times over one graph.
    torch._functorch.config.donated_buffer = False
    net.probe(lambda image: net(image, **asked))
    net.compile()
