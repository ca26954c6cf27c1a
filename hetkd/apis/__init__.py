"""Python entry points behind the command-line tools; each is imported when it is asked for."""

import warnings
from importlib import import_module

# Of mmcv-lite, about an operator that no net here has.
warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')

_PLACES = {
    'check_keys': 'config',
    'export_student': 'student',
    'find_config': 'config',
    'inference_model': 'inference',
    'init_model': 'inference',
    'load_config': 'config',
    'load_student': 'student',
    'publish_student': 'student',
    'student_config': 'student',
}

__all__ = list(_PLACES)


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_PLACES[name]}'), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
