"""The run's clock: the seed and the epoch that random views and warm-ups of losses depend on.

One place for the whole process and its data workers. ``EpochSeedHook`` sets it; ``RandomSeeded``, the data
preprocessors and losses with a warm-up read it.
"""

from contextlib import contextmanager
from typing import Optional

import torch

from hetkd.errors import UserError

# (seed, epoch) in memory that forked data workers share; -1 while nobody has set it.
_now = torch.full((2,), -1, dtype=torch.int64).share_memory_()


def set_clock(seed: int, epoch: int) -> None:
    """Set what all random views depend on from now on."""
    _now[:] = torch.tensor([seed, epoch])


def read_clock() -> Optional[tuple[int, int]]:
    """(seed, epoch), or None where nobody has set it."""
    seed, epoch = _now.tolist()
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


@contextmanager
def own_clock():
    """Inside, the clock begins unset; afterwards it is what it was."""
    before = _now.clone()
    _now.fill_(-1)
    try:
        yield
    finally:
        _now.copy_(before)


def shared_memory() -> torch.Tensor:
    """The clock's memory, for data workers that are not forked; see :func:`join_clock`."""
    return _now


def join_clock(memory: torch.Tensor) -> None:
    """Read the clock of the process that this memory is of."""
    global _now
    _now = memory
