"""Data workers that survive a graceful interrupt of the main process, and know the run's clock."""

import os
import signal
from functools import partial

from torch.utils.data import DataLoader

from hetkd.clock import SharedClock, finishes_steps


def shield(loader: DataLoader) -> DataLoader:
    """Prepare the workers of a loader."""
    loader.worker_init_fn = partial(_init_worker, loader.worker_init_fn, SharedClock())
    return loader


def _init_worker(init, _: SharedClock, worker_id: int) -> None:
    if init is not None:
        init(worker_id)

    # Launchers and terminals send signals to all processes.
    def leave(*_) -> None:
        if not finishes_steps():
            os._exit(0)  # any other status is a crash to torch, which would print a traceback

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
