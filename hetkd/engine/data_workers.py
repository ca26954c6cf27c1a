"""Data workers: they survive a graceful interrupt of the main process, know the run's clock, end with it."""

import os
import signal
from functools import partial
from typing import Optional

from torch.utils.data import DataLoader

from hetkd.clock import SharedClock, finishes_steps


def shield(loader: DataLoader) -> DataLoader:
    """Prepare the workers of a loader."""
    loader.worker_init_fn = partial(_init_worker, loader.worker_init_fn, SharedClock())
    return loader


def end_workers(loader: Optional[DataLoader]) -> None:
    """End persistent workers now; a loader that is read again starts others.

    If the garbage collector ends them, their queues may be closed first, and each worker is waited for 5 s.
    """
    iterator = getattr(loader, '_iterator', None)
    if iterator is not None:
        iterator._shutdown_workers()
        loader._iterator = None


def _init_worker(init, _: SharedClock, worker_id: int) -> None:
    if init is not None:
        init(worker_id)

    # Launchers and terminals send signals to all processes.
    def leave(*_) -> None:
        if not finishes_steps():
            os._exit(0)  # any other status is a crash to torch, which would print a traceback

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
