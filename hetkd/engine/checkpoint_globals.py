"""What a checkpoint of our own runs may refer to besides tensors."""

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

# Methods that mmengine stores by name: statistics of the log history, a scheduler's annealing.
_METHODS = {
    HistoryBuffer: {'current', 'max', 'mean', 'min'},
    OneCycleParamScheduler: {'_annealing_cos', '_annealing_linear'},
}


def _method(owner, name: str):
    """What ``getattr`` is in a checkpoint. The real one would lead to any code."""
    if not (isinstance(owner, type) and name in _METHODS.get(owner, ())):
        raise ValueError(f'refused: getattr({owner!r}, {name!r})')
    return getattr(owner, name)


_GLOBALS = [
    *_METHODS,
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
