"""Where configs and tools lie: beside the modules of an installed package, or in the clone."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def shipped() -> Path:
    """The folder that holds ``configs`` and ``tools``."""
    inside = PACKAGE / '.mim'
    return inside if inside.is_dir() else PACKAGE.parent
