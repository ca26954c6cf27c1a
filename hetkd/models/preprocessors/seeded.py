"""Mixup and cutmix seeded by (seed, epoch, draw of the first image)."""

from mmpretrain.models import ClsDataPreprocessor

from hetkd.clock import read_clock
from hetkd.draws import number_of_sample
from hetkd.registry import MODELS
from hetkd.seeding import seeded


@MODELS.register_module()
class SeededPreprocessor(ClsDataPreprocessor):
    """mmpretrain's ``ClsDataPreprocessor`` whose mixup and cutmix depend on (seed, epoch, first image) alone.

    The same batch in the same epoch is mixed in the same way, whatever was drawn before; a batch whose first
    image the epoch takes again is mixed in another (:mod:`hetkd.draws`). (seed, epoch) are those of the run's
    :mod:`~hetkd.clock`; where it is not set, or the samples carry no ``sample_idx``, it is not seeded.

    Args: those of ``ClsDataPreprocessor``.
    """

    mixes_by_epoch = True  # a cache can repeat its views

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise, and mix in training."""
        samples = data.get('data_samples')
        draw = number_of_sample(samples[0]) if samples else None
        now = read_clock()
        if not training or self.batch_augments is None or now is None or draw is None:
            return super().forward(data, training)
        with seeded(*now, draw):
            return super().forward(data, training)
