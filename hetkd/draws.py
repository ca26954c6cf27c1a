"""Draws: an image that an epoch takes several times has another view each time.

Samplers repeat images (``RepeatAugSampler``), and data sets do (``RepeatDataset``, ``ConcatDataset`` of one
set, ``ClassBalancedDataset``). A draw has a number, on which its random view depends beside the run's
:mod:`~hetkd.clock`. The number is the image's own place (``sample_idx``) where the data set has it at that
place and the epoch takes it for the first time; so it is for plain data sets and samplers.
"""

from collections import Counter
from functools import partial
from typing import NamedTuple, Optional

import numpy as np


class Draw(int):
    """A place in a data set as a sampler gives it, taken ``times`` times before in this epoch."""

    def __new__(cls, place: int, times: int = 0):
        draw = super().__new__(cls, place)
        draw.times = times
        return draw


class _Loading(NamedTuple):
    place: int
    times: int
    seen: Counter


# What this process is loading at the moment.
_loading: Optional[_Loading] = None


def note_draws(dataset) -> None:
    """Have a torch ``DataLoader`` load the data set draw by draw, in whatever process.

    The samples (``data_samples``) tell their number as ``draw`` where it is not their ``sample_idx``.
    """
    dataset.__getitems__ = partial(load_draws, dataset)


def load_draws(dataset, places) -> list:
    """Samples of a data set, each loaded as one draw."""
    return [_load(dataset, place) for place in places]


def number_of_view(image: int, transform) -> int:
    """The number of the draw that is being loaded, for a random transform of an image.

    A transform that sees one image several times within a draw (two views in one sample) gets another number
    each time. Outside of a data loader it is the image's place.
    """
    if _loading is None:
        return image
    key = id(transform), image
    _loading.seen[key] += 1
    return _number(image, _loading, _loading.seen[key] - 1)


def number_of_sample(sample) -> Optional[int]:
    """The number of the draw that a sample comes from; None where it has no place."""
    return sample.get('draw', sample.get('sample_idx'))


def _load(dataset, place: int):
    global _loading
    before = _loading
    loading = _loading = _Loading(int(place), getattr(place, 'times', 0), Counter())
    try:
        data = dataset[loading.place]
    finally:
        _loading = before
    sample = data.get('data_samples') if isinstance(data, dict) else None
    image = sample.get('sample_idx') if hasattr(sample, 'set_field') else None
    if isinstance(image, (int, np.integer)):
        number = _number(image, loading, 0)
        if number != image:
            sample.set_field(number, 'draw', field_type='metainfo')
    return data


def _number(image: int, loading: _Loading, view: int) -> int:
    place, times, _ = loading
    if (place, times, view) == (image, 0, 0):
        return image
    return int(np.random.SeedSequence((image, place, times, view)).generate_state(1, np.uint64)[0])
