"""Random numbers that a resumed run repeats."""

import random
from typing import Iterator

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from hetkd.datasets.transforms import RandomSeeded
from hetkd.engine.plain_model import plain_model
from hetkd.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed everything anew at each step from (seed, process, epoch, step).

    Dropout, stochastic depth and mixup then depend on the step alone, not on how the run came there, so a
    resumed run meets the same losses as an unbroken one. The epoch also goes to the ``RandomSeeded``
    transforms of the training data and to the data preprocessor.

    Raises:
        ValueError: a loop without epochs, whose views would not change.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner) -> None:
        """Refuse a loop that has no epochs before it starts."""
        loop = runner.train_loop
        if loop is None or isinstance(loop, EpochBasedTrainLoop):
            return
        parts = [*_seeded(loop.dataloader.dataset), _preprocessor(runner)]
        part = next((x for x in parts if getattr(x, 'needs_epochs', False)), None)
        if part is not None:
            raise ValueError(
                f'train_cfg: expected by_epoch=True, since {type(part).__name__} draws its views by the '
                f'epoch, got {type(loop).__name__}; set train_cfg=dict(by_epoch=True, max_epochs=N), or take '
                f'{type(part).__name__} out'
            )

    def before_train_epoch(self, runner) -> None:
        """Tell the data pipeline the epoch, and seed the workers."""
        self._seed(runner, 0)
        for part in seeded_parts(runner.train_loop.dataloader.dataset, _preprocessor(runner)):
            part.start_epoch(runner.seed, runner.epoch)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed this process."""
        self._seed(runner, batch_idx)

    @staticmethod
    def _seed(runner, step: int) -> None:
        sequence = np.random.SeedSequence((runner.seed, get_rank(), runner.epoch, step))
        seed = int(sequence.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


def seeded_parts(dataset, preprocessor) -> list:
    """What draws its random numbers by the epoch: transforms of a data set, and the preprocessor."""
    return [x for x in (*_seeded(dataset), preprocessor) if hasattr(x, 'start_epoch')]


def _preprocessor(runner):
    """The model's data preprocessor, or None."""
    model = plain_model(runner)
    return getattr(model, 'data_preprocessor', None)


def _seeded(dataset) -> Iterator[RandomSeeded]:
    """The seeded transforms of a data set and of those it wraps."""
    for inner in [getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())]:
        if inner is not None:
            yield from _seeded(inner)
    for transform in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        if isinstance(transform, RandomSeeded):
            yield transform
