"""Views made of whole batches on the training device."""

import sys
from typing import Optional

import numpy as np
import torch

from hetkd.clock import needed_clock
from hetkd.draws import number_of_sample
from hetkd.errors import UserError
from hetkd.functional import resample
from hetkd.registry import BATCH_AUGMENTS, MODELS
from hetkd.seeding import uniform

from .seeded import SeededPreprocessor


@MODELS.register_module()
class BatchViewPreprocessor(SeededPreprocessor):
    """``SeededPreprocessor`` that also makes the views, of whole batches, for the data set ``InMemory``.

    The view of an image depends on (seed, epoch, its draw) alone (:mod:`hetkd.draws`): not on its batch, the
    process or the device. (seed, epoch) are those of the run's :mod:`~hetkd.clock`.

    Args:
        train_view: config of the view in training, such as
            ``dict(type='BatchRandomResizedCrop', scale=224)``. Default: the images as they are.
        test_view: config of the view in testing, such as
            ``dict(type='BatchResizeCentreCrop', resize=256, crop=224)``. Default: the images as they are.
        **kwargs: see :class:`SeededPreprocessor`; images are RGB already (``to_rgb=False``).

    Raises:
        UserError: ``to_rgb``, or a random view in testing.
        UserError: a random view before a hook has set the clock, or of samples without ``sample_idx``.
    """

    def __init__(self, train_view: Optional[dict] = None, test_view: Optional[dict] = None, **kwargs):
        super().__init__(**kwargs)
        if self.to_rgb:
            raise UserError(
                'data_preprocessor',
                'to_rgb=False, since InMemory gives RGB whatever its images were',
                'True',
                'set data_preprocessor.to_rgb=False',
            )
        self.train_view, self.test_view = (
            None if view is None else BATCH_AUGMENTS.build(view) for view in (train_view, test_view)
        )
        if self.test_view is not None and self.test_view.draws:
            raise UserError(
                'test_view',
                'a view that is not random',
                type(self.test_view).__name__,
                'take BatchResizeCentreCrop, or None for images of their own size',
            )
        if not self._enable_normalize:
            self.register_buffer('mean', torch.zeros(3, 1, 1), False)
            self.register_buffer('std', torch.ones(3, 1, 1), False)
        self._enable_normalize = False  # it is done with the view, where the images are still small
        self._memory = _Memory()

    def forward(self, data: dict, training: bool = False) -> dict:
        """Make the views, normalise, and mix in training."""
        images = self.cast_data(data['inputs'])
        if not torch.is_tensor(images):  # from pseudo_collate
            images = torch.stack(list(images))
        view = self.train_view if training else self.test_view
        rows = columns = None
        if view is not None:
            numbers = self._numbers(data.get('data_samples'), view.draws) if view.draws else None
            images, rows, columns = view(images, numbers)
        if rows is None:
            views = (images - self.mean) / self.std
        else:
            shape = *images.shape[:2], rows.shape[1], columns.shape[1]
            out = self._memory.empty(shape) if images.device.type == 'cpu' else None
            views = resample(images, rows, columns, self.mean, self.std, out)
        return super().forward(dict(data, inputs=views), training)

    def _numbers(self, samples, count: int) -> torch.Tensor:
        now = needed_clock('BatchViewPreprocessor')
        if not samples or 'sample_idx' not in samples[0]:
            raise UserError(
                'BatchViewPreprocessor',
                'samples with sample_idx, which their views depend on',
                'none',
                "use dict(type='InMemory', dataset=...) as the data set",
            )
        return uniform(now, [number_of_sample(sample) for sample in samples], count)


class _Memory:
    """The memory of the last batch on a CPU, used again once no tensor holds it.

    Batches of this size are mapped again by malloc, and touching their pages takes longer than the view.
    """

    def __init__(self):
        self._array = np.empty(0, np.float32)

    def empty(self, shape: tuple[int, ...]) -> torch.Tensor:
        """A float32 tensor of any content."""
        # A tensor and all its views share one reference to the array; ours and the argument are two more.
        if self._array.shape != shape or sys.getrefcount(self._array) > 2:
            self._array = np.empty(shape, np.float32)
        return torch.from_numpy(self._array)
