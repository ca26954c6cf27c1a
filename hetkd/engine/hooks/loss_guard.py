"""Stop at a NaN or infinite loss."""

import math

import torch
from mmengine.hooks import Hook

from hetkd.arguments import Natural
from hetkd.errors import UserError
from hetkd.registry import HOOKS


@HOOKS.register_module()
class LossGuardHook(Hook):
    """Raise as soon as a loss term is NaN or infinite, naming the term and the iteration.

    On a CPU every iteration is checked at once. On a GPU, reading a value would stop the device each step,
    so the terms are kept there and read every ``interval`` iterations and before each checkpoint: none is
    written after a bad step, and the message still names the first bad iteration.

    Args:
        interval: iterations between two looks on a GPU.

    Raises:
        UserError: a term is NaN or infinite.
    """

    priority = 'VERY_HIGH'

    def __init__(self, interval: Natural = 50):
        self.interval = interval
        self._kept: list[tuple[int, tuple[str, ...], torch.Tensor]] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Keep this iteration's terms, and look at them when it is time."""
        terms = {k: v for k, v in (outputs or {}).items() if torch.is_tensor(v) and 'loss' in k}
        if not terms:
            return
        values = [x.detach().float().mean() if x.dim() else x.detach() for x in terms.values()]
        is_here = all(x.is_cpu for x in values)
        if is_here and all(map(math.isfinite, values)):
            return
        self._kept.append((runner.iter + 1, tuple(terms), torch.stack(values)))
        if is_here or len(self._kept) >= self.interval:
            self._look()

    def before_save_checkpoint(self, runner, checkpoint) -> None:
        """Never save after a bad step."""
        self._look()

    def after_train_epoch(self, runner) -> None:
        """Never let a bad step into the validation."""
        self._look()

    def _look(self) -> None:
        kept, self._kept = self._kept, []
        if not kept or torch.stack([values.sum() for *_, values in kept]).isfinite().all():
            return
        for iteration, names, values in kept:
            bad = {name: x for name, x in zip(names, values.tolist()) if not math.isfinite(x)}
            if bad:
                # The sum of all tells the least.
                name = min(bad, key=lambda x: x == 'loss')
                raise UserError(
                    name,
                    'a finite number',
                    f'{bad[name]} at iteration {iteration}',
                    'resume from the last checkpoint with a smaller lr (--resume --apply-changes '
                    '--cfg-options optim_wrapper.optimizer.lr=...), a longer warm-up or '
                    'optim_wrapper.clip_grad.max_norm=5, and look at the data of that iteration',
                )
