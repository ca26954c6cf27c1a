"""A checkpoint is there whole or not at all."""

import os
import os.path as osp
from contextlib import contextmanager
from typing import Iterator

from mmengine.dist import is_main_process


@contextmanager
def written_whole(path: str) -> Iterator[str]:
    """The name to write to in place of ``path``; renamed at the end, by the process that writes.

    A killed write so leaves the previous file whole. A remote path (``s3://``) stays as it is.
    """
    if '://' in path:
        yield path
        return
    part = osp.join(osp.dirname(path), f'.{osp.basename(path)}.part')
    yield part
    if is_main_process():
        os.replace(part, path)
