"""Import of mmpretrain's command-line tools, which are not part of its package."""

from pathlib import Path
from types import ModuleType

import mmpretrain

from hetkd.errors import UserError

from .shipped import module_of


def mmpretrain_tool(name: str) -> ModuleType:
    """Import a file of mmpretrain's ``tools/``.

    Args:
        name: e.g. ``'visualization/vis_scheduler.py'``.

    Raises:
        UserError: mmpretrain was installed without its tools.
    """
    package = Path(mmpretrain.__file__).parent
    # In a wheel, and in a source tree.
    places = [package / '.mim' / 'tools' / name, package.parent / 'tools' / name]
    path = next((x for x in places if x.is_file()), None)
    if path is None:
        raise UserError(
            'mmpretrain',
            f'its tool {name} at {places[0]}',
            'none',
            'reinstall mmpretrain 1.2 (`pip install --force-reinstall --no-deps mmpretrain`)',
        )
    return module_of(path)
