"""Losses: thin registered modules over :mod:`hetkd.functional`.

A logit loss is called with logits, a feature loss with :class:`~hetkd.models.nets.NetOutput`; both with the
target. They give a scalar; ``DFRALoss`` and ``OFALoss`` also take the logits of several students (..., N, C),
and give one value for each.

Every file of this folder is imported: a new one needs no line here.
"""

from importlib import import_module
from pkgutil import iter_modules

from torch import nn

__all__ = []
for _file in iter_modules(__path__):
    _module = import_module(f'{__name__}.{_file.name}')
    for _name, _value in list(vars(_module).items()):
        if _name.endswith('Loss') and isinstance(_value, type) and issubclass(_value, nn.Module):
            globals()[_name] = _value
            if _value.__module__ == _module.__name__:
                __all__.append(_name)
