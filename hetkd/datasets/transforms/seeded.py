"""Augmentation seeded by (seed, epoch, draw of the image)."""

from typing import Iterable, Sequence

from mmcv.transforms import Compose
from mmcv.transforms.base import BaseTransform

from hetkd.clock import needed_clock
from hetkd.datasets.wrappers import inner_datasets
from hetkd.draws import number_of_view
from hetkd.registry import TRANSFORMS
from hetkd.seeding import seeded


def unseeded(dataset) -> list[str]:
    """Transforms of a data set's pipeline that draw random numbers outside :class:`RandomSeeded`.

    Args:
        dataset: of mmengine's kind, or a wrapper of some.
    """
    pipelines = [getattr(x, 'pipeline', None) or () for x in inner_datasets(dataset)]
    return list(dict.fromkeys(name for pipeline in pipelines for name in _drawing(pipeline)))


def _drawing(pipeline) -> Iterable[str]:
    for transform in getattr(pipeline, 'transforms', pipeline):
        if isinstance(transform, (list, tuple)):
            yield from _drawing(transform)
        elif getattr(transform, '_methods_with_randomness', None):  # noted by mmcv's cache_randomness
            yield type(transform).__name__
        elif hasattr(transform, 'transforms') and not isinstance(transform, RandomSeeded):
            yield from _drawing(transform)


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
