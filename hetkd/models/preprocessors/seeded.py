"""Mixup and cutmix seeded by (seed, epoch, draw of the first image)."""

import torch
from mmpretrain.models import ClsDataPreprocessor
from torch.overrides import TorchFunctionMode

from hetkd.clock import read_clock
from hetkd.devices import to_device
from hetkd.draws import number_of_sample
from hetkd.registry import MODELS
from hetkd.seeding import seeded


@MODELS.register_module()
class SeededPreprocessor(ClsDataPreprocessor):
    """mmpretrain's ``ClsDataPreprocessor`` whose mixup and cutmix depend on (seed, epoch, first image) alone.

    The same batch in the same epoch is mixed in the same way, whatever was drawn before; a batch whose first
    image the epoch takes again is mixed in another (:mod:`hetkd.draws`). (seed, epoch) are those of the run's
    :mod:`~hetkd.clock`; where it is not set, or the samples carry no ``sample_idx``, it is not seeded.
    Images, labels and the order in which images are mixed go to a GPU without waiting.

    Args:
        **kwargs: those of ``ClsDataPreprocessor``.
    """

    mixes_by_epoch = True  # a cache can repeat its views

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._non_blocking = True

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise, and mix in training."""
        if self.device.type == 'cpu':
            return self._mixed(data, training)
        _move_labels(data.get('data_samples'), self.device)
        with _Permutations(self.device):
            return self._mixed(data, training)

    def _mixed(self, data, training):
        samples = data.get('data_samples')
        draw = number_of_sample(samples[0]) if samples else None
        now = read_clock()
        if not training or self.batch_augments is None or now is None or draw is None:
            return super().forward(data, training)
        with seeded(*now, draw):
            return super().forward(data, training)


def _move_labels(samples, device) -> None:
    """Move the labels of a batch in one copy; mmpretrain's waits."""
    for name in ('gt_label', 'gt_score'):
        if samples and all(name in x for x in samples):
            values = [x.get(name) for x in samples]
            moved = to_device(torch.cat(values), device).split([len(x) for x in values])
            for sample, value in zip(samples, moved):
                sample.set_field(value, name)


class _Permutations(TorchFunctionMode):
    """Permutations are drawn on the CPU and indexed with on the device: move them there without waiting."""

    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return to_device(result, self.device) if func is torch.randperm else result
