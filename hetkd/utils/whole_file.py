"""A file that is there whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator


@contextmanager
def written_whole(path) -> Iterator[Path]:
    """The name to write to in place of ``path``, beside it; renamed at the end, if nothing has failed.

    Whoever is killed in between, or finds the disk full, leaves the previous file as it was.
    """
    path = Path(path)
    part = path.with_name(f'.{path.name}.part')
    try:
        yield part
        with open(part) as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path, text: str) -> None:
    """Replace a file's text; its folder is made where there is none."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part:
        part.write_text(text)
