"""Cosines between the gradients of the loss terms on the student."""

from mmengine.hooks import Hook

from hetkd.arguments import Natural
from hetkd.engine.plain_model import plain_model
from hetkd.registry import HOOKS


@HOOKS.register_module()
class GradientCosineHook(Hook):
    """Log the cosine between the gradients of the label loss and of each distillation term on the student.

    It costs one further backward pass for each term at the iterations that are watched; the training itself
    is not changed. Logged as ``grad_cos_<term>``, of this process's batch.

    Args:
        interval: iterations between two measurements; 0, the default, for none.
    """

    def __init__(self, interval: Natural = 0):
        self.interval = interval

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Have this iteration watched, or not."""
        model = plain_model(runner) if self.interval else None
        if hasattr(model, 'watches_gradients'):
            model.watches_gradients = self.every_n_train_iters(runner, self.interval)
