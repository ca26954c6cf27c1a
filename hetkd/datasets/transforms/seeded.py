"""Augmentation that can be repeated."""

from typing import Sequence

import torch
from mmcv.transforms import Compose
from mmcv.transforms.base import BaseTransform

from hetkd.registry import TRANSFORMS
from hetkd.seeding import seeded


@TRANSFORMS.register_module()
class RandomSeeded(BaseTransform):
    """Run random transforms on numbers that depend on (seed, epoch, sample) alone.

    The same image in the same epoch gets the same view, whatever the number of workers and wherever a
    run was resumed. The process's own random state is left as it was. ``EpochSeedHook`` sets the epoch.

    Args:
        transforms: configs of the random transforms.

    Raises:
        RuntimeError: no hook has set the epoch.
    """

    needs_epochs = True

    def __init__(self, transforms: Sequence[dict]):
        self.transforms = Compose([TRANSFORMS.build(x) for x in transforms])
        # (seed, epoch), shared with persistent workers.
        self._now = torch.full((2,), -1, dtype=torch.int64).share_memory_()

    def start_epoch(self, seed: int, epoch: int) -> None:
        """Set what the views of the coming epoch depend on."""
        self._now[:] = torch.tensor([seed, epoch])

    def transform(self, results: dict) -> dict:
        """Apply the transforms."""
        seed, epoch = self._now.tolist()
        if epoch < 0:
            raise RuntimeError(
                'RandomSeeded: expected the epoch to be set, got none; keep '
                "epoch_seed=dict(type='EpochSeedHook') in default_hooks"
            )
        with seeded(seed, epoch, results['sample_idx']):
            return self.transforms(results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.transforms})'
