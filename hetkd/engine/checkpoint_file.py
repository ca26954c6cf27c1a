"""A checkpoint is there whole or not at all."""

from contextlib import contextmanager
from typing import Iterator

from mmengine.dist import is_main_process

from hetkd.utils.whole_file import written_whole


@contextmanager
def checkpoint_file(path: str) -> Iterator[str]:
    """The name to write a checkpoint to in place of ``path``, as ``written_whole`` gives it.

    All processes may enter, of which the first one writes. A remote path (``s3://``) stays as it is.

    Raises:
        OSError: it cannot be written (a full disk).
    """
    if '://' in path or not is_main_process():
        yield path
        return
    try:
        with written_whole(path) as part:
            yield str(part)
    except OSError as error:
        raise OSError(
            f'{path}: expected to write a checkpoint, could not ({error}). The previous one is whole: free '
            f'some space, or name another folder by default_hooks.checkpoint.out_dir, and go on with --resume'
        ) from error
