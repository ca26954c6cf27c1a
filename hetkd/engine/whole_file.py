"""A checkpoint is there whole or not at all."""

import os
import os.path as osp
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from mmengine.dist import is_main_process


@contextmanager
def written_whole(path: str) -> Iterator[str]:
    """The name to write to in place of ``path``; renamed at the end, by the process that writes.

    A killed write so leaves the previous file whole. A remote path (``s3://``) stays as it is.

    Raises:
        OSError: it cannot be written (a full disk); what was begun is removed.
    """
    if '://' in path:
        yield path
        return
    part = osp.join(osp.dirname(path), f'.{osp.basename(path)}.part')
    try:
        yield part
        if is_main_process():
            with open(part) as file:
                os.fsync(file.fileno())
            os.replace(part, path)
    except OSError as error:
        Path(part).unlink(missing_ok=True)
        raise OSError(
            f'{path}: expected to write a checkpoint, could not ({error}). The previous one is whole: free '
            f'some space, or name another folder by default_hooks.checkpoint.out_dir, and go on with --resume'
        ) from error
