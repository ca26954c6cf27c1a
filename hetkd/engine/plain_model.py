"""The model of a run without its DDP wrapper."""

from mmengine.model import is_model_wrapper


def plain_model(runner):
    """The runner's model itself, where mmengine has wrapped it (DDP)."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
