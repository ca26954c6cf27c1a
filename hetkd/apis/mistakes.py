"""Errors of other libraries that are a user's mistake, as the project's own."""

import errno
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Iterator, Optional

from hetkd.errors import UserError

# Errors of files and disks that a user can do something about.
FILES = {
    errno.ENOENT: 'check the path',
    errno.ENOTDIR: 'check the path',
    errno.EISDIR: 'name a file',
    errno.EACCES: 'change its rights, or name another folder (--work-dir)',
    errno.EPERM: 'change its rights, or name another folder (--work-dir)',
    errno.EROFS: 'name a folder on another file system (--work-dir)',
    errno.ENOSPC: 'free some space, or name a folder on another disk (--work-dir)',
    errno.EDQUOT: 'free some space, or name a folder on another disk (--work-dir)',
    errno.ELOOP: 'remove the link, or name another folder (--work-dir)',
    errno.EADDRINUSE: 'choose another port: PORT=29501 tools/dist_train.sh ...',
}

HETKD = Path(__file__).resolve().parents[1]
LIBRARIES = [Path(sysconfig.get_paths()[x]).resolve() for x in ('stdlib', 'purelib', 'platlib')]


class UnknownMistake(UserError):
    """An error of no known kind before the first step: a setting, or a fault of the program."""


def mistake_of(error: BaseException) -> Optional[UserError]:
    """The user's mistake behind an error, or None where it is a fault of the program.

    An error of no known kind is an :class:`UnknownMistake`, unless it is one of a training step.
    torch makes the error of a data worker anew in the main process, from its text.
    """
    found = [x for x in _chain(error) if isinstance(x, UserError)]
    if found:
        whole = next((x for x in found if x.expected is not None), None)
        return whole or UserError(str(found[0]).rpartition('UserError: ')[2].strip())
    for one in _chain(error):
        translated = _translated(one)
        if translated is not None:
            return translated
    if isinstance(error, Exception) and not _in_a_step(error):
        got = ' '.join(f'{type(error).__name__}: {error}'.split())[:1000]
        fix = 'HETKD_TRACEBACK=1 shows where'
        return UnknownMistake('config', 'settings that a run can begin with', got, fix)
    return None


def is_in_own_code(error: BaseException) -> bool:
    """Whether an error is raised by hetkd itself, or has come through a user's own code."""
    tool = getattr(sys.modules['__main__'], '__file__', None)
    for one in _chain(error):
        files = [Path(x.filename) for x in traceback.extract_tb(one.__traceback__)]
        files = [x.resolve() for x in files if x.is_absolute() and x != Path(tool or '')]
        known = [x.is_relative_to(HETKD) for x in files]
        users = [not any(x.is_relative_to(y) for y in (HETKD, *LIBRARIES)) for x in files]
        if any(users) or known[-1:] == [True]:
            return True
    return False


def _last_frame(error: BaseException) -> str:
    """The function that an error was raised in."""
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].name if frames else ''


def _in_a_step(error: BaseException) -> bool:
    """Whether the program was training: what fails there is no setting."""
    return any(x.name in ('train_step', 'run_iter') for x in traceback.extract_tb(error.__traceback__))


def _chain(error: Optional[BaseException]) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_of_a_dead_worker(error: BaseException, text: str) -> bool:
    """Whether a data worker was killed: torch says so, or what it was sending breaks off first.

    What a living worker raises is raised anew in `_process_data`.
    """
    # The first is raised wherever the main process is; the thread that pins batches ends with the sender.
    if 'DataLoader worker (pid' in text or text == 'Pin memory thread exited unexpectedly':
        return True
    reading = any(x.name == '_try_get_data' for x in traceback.extract_tb(error.__traceback__))
    return reading and isinstance(error, (ConnectionError, EOFError, FileNotFoundError))


def _translated(error: BaseException) -> Optional[UserError]:
    text = ' '.join(str(error).split())
    if _is_of_a_dead_worker(error, text):
        return UserError(
            'train_dataloader',
            'its workers to live',
            f'a dead one, killed from outside, most often for want of memory ({text})',
            'resume with --resume, with fewer workers (train_dataloader.num_workers) or more shared memory '
            '(docker run --shm-size)',
        )
    if isinstance(error, OSError) and error.errno in FILES:
        return UserError(error.filename or 'file', 'to use it', error.strerror, FILES[error.errno])
    if type(error).__name__ == 'OutOfMemoryError':
        return UserError('memory', 'the step to fit', text, 'lower train_dataloader.batch_size, or use --amp')
    if isinstance(error, KeyError) and _last_frame(error) == '_save_best_checkpoint':
        return UserError(
            'default_hooks.checkpoint.save_best',
            'a metric that val_evaluator gives, or None',
            text,
            'name one of those that the log shows, also as default_hooks.run_record.monitor',
        )
    if isinstance(error, KeyError) and 'is not in the' in text:
        return UserError('config', 'registered names', text.strip('"\''))
    if isinstance(error, KeyError) and 'must contain the key "type"' in text:
        return UserError('config', 'a type in every dict that is built', text.strip('"\''), 'add type=...')
    together = re.match(r'(.+?) should be either all None or not None, but got', text)
    if isinstance(error, ValueError) and together:
        names = [x for x in re.findall(r'\w+', together[1]) if x != 'and']
        absent = [x for x in names if f'{x}=None' in text]
        return UserError('config', f'all of {", ".join(names)}, or none of them', f'no {", ".join(absent)}')
    called = re.match(
        r'(\w+)\.__init__\(\) (got an unexpected keyword argument|missing \d+ required) (.*)', text
    )
    if isinstance(error, TypeError) and called:
        return UserError(
            called[1],
            'arguments that it takes, and all it needs',
            f'{called[2]} {called[3]}'.removeprefix('got '),
        )
    return None
