"""A work dir belongs to one run: a lock against two at once, and a check against a second run."""

import errno
import fcntl
import json
import os
import socket
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import is_main_process

from hetkd.errors import UserError

LOCK = 'train.lock'
CHECKPOINTS = ('epoch_*.pth', 'iter_*.pth', 'terminated.pth')


@contextmanager
def claimed(work_dir: str, resumes: bool, key: str = 'work_dir'):
    """Hold the lock of a work dir; the first process does so for all.

    The lock is the kernel's: it ends with its process, however that ends. Where the file system has none, the
    run continues without.

    Args:
        work_dir: the folder.
        resumes: whether the run continues with the one that is there.
        key: the setting that names it.

    Raises:
        UserError: another process trains there, or a run is there that is not to be resumed.
    """
    if not is_main_process():
        yield
        return
    number = os.open(Path(work_dir) / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with open(number, 'r+') as file:
        _lock(file, work_dir, key)
        if not resumes and _is_used(Path(work_dir)):
            raise UserError(
                key,
                'a folder without a run',
                f'{work_dir}, which holds one',
                f'continue with it by --resume, or name another {_flag(key)}',
            )
        yield


def _flag(key: str) -> str:
    return '--work-dir' if key == 'work_dir' else 'one'


def _lock(file, work_dir: str, key: str) -> None:
    try:
        # Not flock: data workers would inherit it, and outlive a process that is killed.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise UserError(
                key,
                f'{work_dir} to be free',
                f'one in which {file.read().strip()} trains',
                f'wait for its end, or name another {_flag(key)}',
            ) from None
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            raise
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}')
    file.flush()


def _is_used(folder: Path) -> bool:
    """Whether there is something to lose: a checkpoint, or results of a validation."""
    if (folder / 'last_checkpoint').exists() or any(any(folder.glob(x)) for x in CHECKPOINTS):
        return True
    try:
        record = json.loads((folder / 'results.json').read_text())
        return bool(record['metrics'] or record['finished'])
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError):  # damaged
        return True
