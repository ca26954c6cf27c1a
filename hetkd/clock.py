"""The run's clock: the seed and the number that random views depend on, and the epoch of the run.

One place for the whole process and its data workers. ``EpochSeedHook`` sets it; ``RandomSeeded`` and the data
preprocessors read the views', which a teacher cache may replace; losses with a warm-up read the run's epoch.
In the same memory stands whether a signal lets the process finish its step.
"""

from contextlib import contextmanager
from typing import Optional

import torch

from hetkd.errors import UserError


def _unset() -> torch.Tensor:
    """Seed and epoch of the views (-1: unset), whether a step is finished, and the run's epoch (-1: unset).

    In memory that data workers share.
    """
    return torch.tensor([-1, -1, 0, -1]).share_memory_()


_now = _unset()


def set_clock(seed: int, epoch: int) -> None:
    """Set the epoch of the run, and what all random views depend on from now on."""
    set_views(seed, epoch)
    _now[3] = epoch


def set_views(seed: int, view: int) -> None:
    """Set what all random views depend on, and nothing else."""
    _now[:2] = torch.tensor([seed, view])


def run_epoch() -> Optional[int]:
    """The epoch of the run, or None where there is none."""
    (epoch,) = _now[3:].tolist()
    return None if epoch < 0 else epoch


def read_clock() -> Optional[tuple[int, int]]:
    """(seed, epoch) of the views, or None where nobody has set it."""
    seed, epoch = _now[:2].tolist()
    return None if epoch < 0 else (seed, epoch)


def needed_clock(reader: str) -> tuple[int, int]:
    """(seed, epoch), for a reader that cannot do without.

    Raises:
        UserError: nobody has set it.
    """
    now = read_clock()
    if now is None:
        raise UserError(
            reader,
            'the epoch to be set',
            'none',
            "keep epoch_seed=dict(type='EpochSeedHook') in default_hooks",
        )
    return now


def finish_steps(finish: bool) -> None:
    """Set whether a signal lets this process finish its step, for which it needs its data workers."""
    _now[2] = finish


def finishes_steps() -> bool:
    """Whether a signal lets the process, or that of this data worker, finish its step."""
    return bool(_now[2])


@contextmanager
def own_clock():
    """Inside, the clock begins unset; afterwards it is what it was.

    It is in memory of its own: runs in processes that were forked from one do not share it.
    """
    global _now
    before, _now = _now, _unset()
    try:
        yield
    finally:
        _now = before


class SharedClock:
    """To be given to a data worker: it reads the clock of the process that starts it.

    A forked worker does so anyway, another one as it unpickles this.
    """

    def __reduce__(self):
        return _join, (_now,)


def _join(memory: torch.Tensor) -> SharedClock:
    global _now
    _now = memory
    return SharedClock()
