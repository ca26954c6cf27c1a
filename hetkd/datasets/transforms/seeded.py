"""Augmentation that can be repeated."""

import random
from typing import Sequence

import numpy as np
import torch
from mmcv.transforms import Compose
from mmcv.transforms.base import BaseTransform

from hetkd.registry import TRANSFORMS


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
        sequence = np.random.SeedSequence((seed, epoch, results['sample_idx']))
        words = sequence.generate_state(3)
        saved = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
        random.seed(int(words[0]))
        np.random.seed(words[1])
        torch.random.default_generator.manual_seed(int(words[2]))
        try:
            return self.transforms(results)
        finally:
            random.setstate(saved[0])
            np.random.set_state(saved[1])
            torch.random.set_rng_state(saved[2])

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.transforms})'
