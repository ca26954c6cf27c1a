"""Seed each step and set the run's clock, so that a resumed run repeats the random numbers."""

import random
from functools import lru_cache

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator

from hetkd.clock import set_clock
from hetkd.datasets.transforms.seeded import unseeded
from hetkd.engine.batches import endless, epoch_length
from hetkd.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed everything at each step from (seed, process, epoch, step), and set the run's clock.

    Dropout, stochastic depth and mixup then depend on the step alone, not on how the run came there, so a
    resumed run meets the same losses as an unbroken one. An epoch is one pass over the data loader, also
    where the run counts iterations.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        """Give an iteration-based run epochs, and a resumed one the clock of the steps that it has done."""
        loop = runner.train_loop
        found = unseeded(loop.dataloader.dataset)
        if found:
            runner.logger.warning(
                f'train_dataloader: expected random transforms within RandomSeeded, got {", ".join(found)} '
                'outside: a resumed run, and another number of workers, see other views'
            )
        set_clock(runner.seed, max(loop.iter - 1, 0) // epoch_length(loop.dataloader))
        if (
            isinstance(loop, IterBasedTrainLoop)
            and type(loop.dataloader_iterator) is _InfiniteDataloaderIterator
        ):
            loop.dataloader_iterator = endless(runner)

    def before_train_epoch(self, runner) -> None:
        """Set the clock, and seed the data workers."""
        self.before_pass(runner, runner.epoch)

    def before_pass(self, runner, epoch: int) -> None:
        """The same for an iteration-based run; see :func:`~hetkd.engine.batches.endless`."""
        set_clock(runner.seed, epoch)
        _seed(_seeds(runner.seed, get_rank(), epoch, 1)[0])

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed this process."""
        steps = len(runner.train_loop.dataloader)
        epoch, step = divmod(runner.iter, steps)
        _seed(_seeds(runner.seed, get_rank(), epoch, steps)[step])


@lru_cache(maxsize=1)
def _seeds(seed: int, rank: int, epoch: int, steps: int) -> list[int]:
    """Of an epoch's first steps. Drawn at once: one alone costs a sixth of what a thousand do."""
    return np.random.SeedSequence((seed, rank, epoch)).generate_state(steps).tolist()


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed seeds devices that are not there as well, which takes 100 times as long.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
