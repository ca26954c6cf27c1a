"""The model of a run without what spreads it over processes."""

from mmengine.model import is_model_wrapper
from torch.distributed.fsdp import FSDPModule


def plain_model(runner):
    """The runner's model itself, where mmengine has wrapped it (DDP)."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def whole_model(runner, hook: str):
    """The same, for a hook that needs all parameters in each process.

    Raises:
        ValueError: FSDP has split them.
    """
    model = plain_model(runner)
    if isinstance(model, FSDPModule):
        raise ValueError(
            f'{hook}: expected a student that is whole in each process, got one that FSDP splits; leave out '
            f'the hook, or the strategy'
        )
    return model
