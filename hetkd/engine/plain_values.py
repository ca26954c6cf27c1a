"""Checkpoints of plain values: what ``torch.load(weights_only=True)`` reads."""

import logging
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log

PLAIN = {str, int, float, bool, bytes, type(None)}


def plain(value: Any) -> Any:
    """A checkpoint, or a part of it, of containers, tensors, numbers and strings alone.

    numpy's numbers become Python's and its arrays lists; a log history becomes two tensors, which are smaller
    and sooner read than lists. An entry of a dict that is none of these is left out: whoever resumes has it
    already (the annealing function of a scheduler), or cannot have it.
    """
    if isinstance(value, HistoryBuffer):
        return dict(zip(('values', 'counts'), map(torch.from_numpy, value.data)))
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, dict):
        if value and all(map(torch.is_tensor, value.values())):
            return value  # a state dict keeps its type and its versions
        return {plain(key): plain(x) for key, x in value.items() if _is_kept(key, x)}
    if isinstance(value, (list, tuple)):
        return (tuple if isinstance(value, tuple) else list)(map(plain, value))
    return value


def _is_kept(key: Any, value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_kept(key, x) for x in value)
    kinds = (HistoryBuffer, np.generic, np.ndarray, dict, torch.Tensor)
    if type(value) in PLAIN or isinstance(value, kinds):
        return True
    if not callable(value):
        print_log(
            f'checkpoint: expected tensors, numbers and strings, got {key} of {type(value).__name__}, which '
            f'is left out and will not be resumed',
            'current',
            logging.WARNING,
        )
    return False


def log_histories(scalars: dict) -> dict[str, HistoryBuffer]:
    """The log histories that :func:`plain` has written."""
    return {
        key: x if isinstance(x, HistoryBuffer) else HistoryBuffer(x['values'].numpy(), x['counts'].numpy())
        for key, x in scalars.items()
    }
