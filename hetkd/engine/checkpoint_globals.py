"""What a checkpoint of our own runs may refer to besides tensors.

Each name stands for something that cannot do more than be read: no constructor runs on a file's values, and
``getattr`` knows a handful of methods.
"""

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler


class _History(HistoryBuffer):
    """A log history that is only filled from arrays that the file holds as such."""

    def __init__(self, *args, **kwargs):
        raise ValueError('refused: a log history that is constructed')

    def __setstate__(self, state: dict) -> None:
        kinds = {'max_length': int, '_log_history': np.ndarray, '_count_history': np.ndarray}
        if any(type(state.get(key)) is not kind for key, kind in kinds.items()):
            raise ValueError('refused: a log history of anything but a length and two arrays')
        self.__dict__.update({key: state[key] for key in kinds})
        self._set_default_statistics()
        self.__class__ = HistoryBuffer  # as the run will save it again


class _OneCycle:
    """A mark; nothing of the class is needed but its name."""

    _annealing_cos = staticmethod(OneCycleParamScheduler._annealing_cos)
    _annealing_linear = staticmethod(OneCycleParamScheduler._annealing_linear)


# Methods that mmengine stores by name: statistics of the log history, a scheduler's annealing.
_METHODS = {
    _History: {'current', 'max', 'mean', 'min'},
    _OneCycle: {'_annealing_cos', '_annealing_linear'},
}


def _method(owner, name: str):
    """What ``getattr`` is in a checkpoint. The real one would lead to any code."""
    if not (isinstance(owner, type) and name in _METHODS.get(owner, ())):
        raise ValueError(f'refused: getattr({owner!r}, {name!r})')
    return getattr(owner, name)


_GLOBALS = [
    (_History, 'mmengine.logging.history_buffer.HistoryBuffer'),
    (_OneCycle, 'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler'),
    (_method, 'builtins.getattr'),
    np.ndarray,
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Int64DType,
    np._core.multiarray._reconstruct,
    np._core.multiarray.scalar,
]


def own_checkpoint():
    """Context in which ``torch.load(weights_only=True)`` reads a checkpoint of a run of ours."""
    return torch.serialization.safe_globals(_GLOBALS)
