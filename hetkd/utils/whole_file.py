"""Atomic writes."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Iterator


@contextmanager
def written_whole(path) -> Iterator[BinaryIO]:
    """A binary file to write to in place of ``path``: beside it, renamed at the end if nothing has failed.

    A process that is killed in between, or finds the disk full, leaves the previous file as it was. The new
    file is created, never opened through a link of its name.
    """
    path = Path(path)
    part = path.with_name(f'.{path.name}.part')
    part.unlink(missing_ok=True)  # of a process that was killed
    try:
        with open(part, 'xb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path, text: str) -> None:
    """Replace a file's text; its folder is made where there is none."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        file.write(text.encode())
