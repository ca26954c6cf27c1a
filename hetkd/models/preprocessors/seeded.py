"""Batch augmentations that can be repeated."""

from typing import Optional

from mmpretrain.models import ClsDataPreprocessor

from hetkd.registry import MODELS
from hetkd.seeding import seeded


@MODELS.register_module()
class SeededPreprocessor(ClsDataPreprocessor):
    """mmpretrain's ``ClsDataPreprocessor`` whose mixup and cutmix depend on (seed, epoch, first image) alone.

    The same batch in the same epoch is mixed in the same way, whatever was drawn before. ``EpochSeedHook``
    sets the epoch; without it, or where the samples carry no ``sample_idx``, the mixing is not seeded.

    Args: those of ``ClsDataPreprocessor``.
    """

    _now: Optional[tuple[int, int]] = None

    def start_epoch(self, seed: int, epoch: int) -> None:
        """Set what the coming epoch depends on."""
        self._now = seed, epoch

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise, and mix in training."""
        samples = data.get('data_samples')
        index = samples[0].get('sample_idx') if samples else None
        if not training or self.batch_augments is None or self._now is None or index is None:
            return super().forward(data, training)
        with seeded(*self._now, index):
            return super().forward(data, training)
