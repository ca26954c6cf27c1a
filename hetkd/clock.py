"""The run's clock: the seed and the epoch that random views and warm-ups of losses depend on.

One place for the whole process and its data workers. ``EpochSeedHook`` sets it; ``RandomSeeded``, the data
preprocessors and losses with a warm-up read it. In the same memory stands whether a signal lets the process
finish its step.
"""

from contextlib import contextmanager
from typing import Optional

import torch

from hetkd.errors import UserError


def _unset() -> torch.Tensor:
    """Seed, epoch (-1: unset) and whether a step is finished, in memory that data workers share."""
    return torch.tensor([-1, -1, 0]).share_memory_()


_now = _unset()


def set_clock(seed: int, epoch: int) -> None:
    """Set what all random views depend on from now on."""
    _now[:2] = torch.tensor([seed, epoch])


def read_clock() -> Optional[tuple[int, int]]:
    """(seed, epoch), or None where nobody has set it."""
    seed, epoch, _ = _now.tolist()
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
