"""Data workers that survive a graceful interrupt of the main process, and know the run's clock."""

import os
import signal
from functools import partial

import torch
from torch.utils.data import DataLoader

from hetkd.clock import join_clock, shared_memory

# Shared with the workers: whether the main process will finish its step after a SIGTERM.
_finishing = torch.zeros(1, dtype=torch.int8).share_memory_()


def keep_workers(keep: bool) -> None:
    """Whether signals, which launchers and terminals send to all processes, leave data workers alive."""
    _finishing[0] = keep


def shield(loader: DataLoader) -> DataLoader:
    """Prepare the workers of a loader."""
    loader.worker_init_fn = partial(_init_worker, loader.worker_init_fn, _finishing, shared_memory())
    return loader


def _init_worker(init, finishing: torch.Tensor, clock: torch.Tensor, worker_id: int) -> None:
    if init is not None:
        init(worker_id)
    join_clock(clock)

    def leave(*_) -> None:
        if not finishing[0]:
            os._exit(0)  # any other status is a crash to torch, which would print a traceback

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
