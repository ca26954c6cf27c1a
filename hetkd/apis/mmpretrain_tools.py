"""mmpretrain's own command-line tools, which are files beside its package and no part of it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import mmpretrain


def mmpretrain_tool(name: str) -> ModuleType:
    """A file of mmpretrain's ``tools/``, imported.

    Args:
        name: e.g. ``'visualization/vis_scheduler.py'``.

    Raises:
        FileNotFoundError: this mmpretrain was installed without its tools.
    """
    package = Path(mmpretrain.__file__).parent
    # As a wheel has them, and as a source tree has them.
    places = [package / '.mim' / 'tools' / name, package.parent / 'tools' / name]
    path = next((x for x in places if x.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f'mmpretrain: expected its tool {name} at {places[0]}, got none; install mmpretrain 1.2 anew '
            f'(`pip install --force-reinstall --no-deps mmpretrain`)'
        )
    spec = importlib.util.spec_from_file_location(f'mmpretrain_tools_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
