"""SIGTERM: a wish to stop, heard at the next step's end."""

import os
import signal
import threading
from functools import partial

import torch
from torch.utils.data import DataLoader

# Shared with data workers: whether the main process is training. Set before they are forked.
_TRAINING = torch.zeros(1, dtype=torch.int8).share_memory_()


class Termination:
    """While it is entered, SIGTERM ends nothing but sets :attr:`requested`.

    Launchers send the signal to all processes of a group. The data workers of loaders that were given to
    :func:`shield` stay alive until the main process has saved.
    """

    def __init__(self):
        self.requested = False

    def __enter__(self):
        _TRAINING[0] = 1
        self._is_set = threading.current_thread() is threading.main_thread()
        if self._is_set:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def _note(self, *_) -> None:
        self.requested = True

    def __exit__(self, *_) -> None:
        _TRAINING[0] = 0
        if self._is_set:
            signal.signal(signal.SIGTERM, self._before)


def shield(loader: DataLoader) -> DataLoader:
    """Let the loader's workers outlive a SIGTERM while the main process trains."""
    loader.worker_init_fn = partial(_init_worker, loader.worker_init_fn)
    return loader


def _init_worker(init, worker_id: int) -> None:
    if init is not None:
        init(worker_id)
    signal.signal(signal.SIGTERM, _leave_unless_training)


def _leave_unless_training(*_) -> None:
    if not _TRAINING[0]:
        os._exit(128 + signal.SIGTERM)
