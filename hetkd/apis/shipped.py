"""Where configs and tools lie, beside the installed modules or in the clone; and the import of a file."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).resolve().parent.parent


def shipped() -> Path:
    """The folder that holds ``configs`` and ``tools``."""
    inside = PACKAGE / '.mim'
    return inside if inside.is_dir() else PACKAGE.parent


def module_of(path: Path) -> ModuleType:
    """The module that a Python file holds, whatever folder it is in."""
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
