"""Mixup and cutmix seeded by (seed, epoch, draw of the first image)."""

import torch
from mmpretrain.models import ClsDataPreprocessor
from torch.overrides import TorchFunctionMode

from hetkd.clock import read_clock
from hetkd.devices import to_device
from hetkd.draws import number_of_sample
from hetkd.errors import UserError
from hetkd.functional.targets import one_hot
from hetkd.registry import MODELS
from hetkd.seeding import seeded


@MODELS.register_module()
class SeededPreprocessor(ClsDataPreprocessor):
    """mmpretrain's ``ClsDataPreprocessor`` whose mixup and cutmix depend on (seed, epoch, first image) alone.

    The same batch in the same epoch is mixed in the same way, whatever was drawn before; a batch whose first
    image the epoch takes again is mixed in another (:mod:`hetkd.draws`). (seed, epoch) are those of the run's
    :mod:`~hetkd.clock`; where it is not set, or the samples carry no ``sample_idx``, it is not seeded.
    Images, labels and the order in which images are mixed go to a GPU without waiting.

    In training, images of a batch may have no label. Mixed with such a one, an image has none either.

    Args:
        **kwargs: those of ``ClsDataPreprocessor``.

    Raises:
        UserError: unlabelled images are mixed, and ``num_classes`` is not set.
    """

    mixes_by_epoch = True  # a cache can repeat its views
    takes_unlabelled = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._non_blocking = True

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise, and mix in training."""
        samples = data.get('data_samples')
        if training and samples and not all('gt_label' in x or 'gt_score' in x for x in samples):
            if self.batch_augments is None:  # mmpretrain would read all labels, or none, by the first image
                _move_labels(samples, self.device)
                return dict(self._on_device(dict(data, data_samples=None), training), data_samples=samples)
            self._to_scores(samples)
        return self._on_device(data, training)

    def _on_device(self, data, training):
        if self.device.type == 'cpu':
            return self._mixed(data, training)
        _move_labels(data.get('data_samples'), self.device)
        with _Permutations(self.device):
            return self._mixed(data, training)

    def _to_scores(self, samples) -> None:
        """Labels as probabilities, to be mixed: NaN for no label, and so for what is mixed with it.

        The samples say ``mixed_with_unlabelled``, so that a batch without NaN is not searched for it.
        """
        if self.num_classes is None:
            raise UserError(
                'data_preprocessor.num_classes', 'the number of classes, to mix labels', None, 'set it'
            )
        for sample in samples:
            if 'gt_score' not in sample:
                score = torch.full((self.num_classes,), torch.nan)
                if 'gt_label' in sample:
                    score = one_hot(sample.pop('gt_label'), self.num_classes, torch.float)[0]
                sample.set_gt_score(score)
            sample.set_field(True, 'mixed_with_unlabelled', field_type='metainfo')

    def _mixed(self, data, training):
        # Also where SwitchRecipeHook has switched mixing on: mmpretrain decides it when it is built.
        self.to_onehot = self.to_onehot or self.batch_augments is not None
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
        having = [x for x in samples or () if name in x]
        if having:
            values = [x.get(name) for x in having]
            moved = to_device(torch.cat(values), device).split([len(x) for x in values])
            for sample, value in zip(having, moved):
                sample.set_field(value, name)


class _Permutations(TorchFunctionMode):
    """Permutations are drawn on the CPU and indexed with on the device: move them there without waiting."""

    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return to_device(result, self.device) if func is torch.randperm else result
