"""Augmentation seeded by (seed, epoch, sample)."""

from typing import Sequence

from mmcv.transforms import Compose
from mmcv.transforms.base import BaseTransform

from hetkd.clock import needed_clock
from hetkd.registry import TRANSFORMS
from hetkd.seeding import seeded


@TRANSFORMS.register_module()
class RandomSeeded(BaseTransform):
    """Run random transforms on numbers that depend on (seed, epoch, sample) alone.

    The same image in the same epoch gets the same view, whatever the number of workers and wherever a
    run was resumed. The process's own random state is left as it was. (seed, epoch) are those of
    the run's :mod:`~hetkd.clock`.

    Args:
        transforms: configs of the random transforms.

    Raises:
        RuntimeError: no hook has set the clock.
    """

    def __init__(self, transforms: Sequence[dict]):
        self.transforms = Compose([TRANSFORMS.build(x) for x in transforms])

    def transform(self, results: dict) -> dict:
        """Apply the transforms."""
        with seeded(*needed_clock('RandomSeeded'), results['sample_idx']):
            return self.transforms(results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.transforms})'
