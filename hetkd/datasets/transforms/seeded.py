"""Augmentation seeded by (seed, epoch, draw of the image)."""

from typing import Sequence

from mmcv.transforms import Compose
from mmcv.transforms.base import BaseTransform

from hetkd.clock import needed_clock
from hetkd.draws import number_of_view
from hetkd.registry import TRANSFORMS
from hetkd.seeding import seeded


@TRANSFORMS.register_module()
class RandomSeeded(BaseTransform):
    """Run random transforms on numbers that depend on (seed, epoch, draw of the image) alone.

    The same image in the same epoch gets the same view, whatever the number of workers and wherever a run was
    resumed; where the epoch takes it several times, another one each time (:mod:`hetkd.draws`). The process's
    own random state is left as it was. (seed, epoch) are those of the run's :mod:`~hetkd.clock`.

    Args:
        transforms: configs of the random transforms.

    Raises:
        UserError: no hook has set the clock.
    """

    def __init__(self, transforms: Sequence[dict]):
        self.transforms = Compose([TRANSFORMS.build(x) for x in transforms])

    def transform(self, results: dict) -> dict:
        """Apply the transforms."""
        draw = number_of_view(results['sample_idx'], self)
        with seeded(*needed_clock('RandomSeeded'), draw):
            return self.transforms(results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.transforms})'
