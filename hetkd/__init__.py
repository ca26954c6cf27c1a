"""hetkd: knowledge distillation between heterogeneous architectures."""

from importlib.util import find_spec

from .version import __version__

if find_spec('mmcv') is None:
    raise ImportError(
        'hetkd needs mmcv, but neither mmcv nor mmcv-lite is installed. Install exactly one of them '
        '(they share one folder): `pip install "hetkd[lite]"` for mmcv-lite, which is enough for '
        'everything here, or `mim install -r requirements/mminstall.txt` for the full mmcv.'
    )

__all__ = ['__version__', 'distill']


def __getattr__(name: str):
    if name != 'distill':
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from .apis.distillation import distill

    return distill
