"""Semi-supervised sampling: a fixed share of labelled images in each batch."""

from typing import Iterator, Optional

import numpy as np
import torch
from mmengine.dataset import DefaultSampler

from hetkd.errors import UserError
from hetkd.registry import DATA_SAMPLERS

from .labels import has_label


@DATA_SAMPLERS.register_module()
class SemiSupervisedSampler(DefaultSampler):
    """Shuffled images of which a fixed share has a label, evenly spread over the batches of an epoch.

    Any n images in a row hold n times the share of labelled ones, up to one. An epoch takes as many images as
    the data set has, so steps and schedules stay those of ``DefaultSampler``: the labelled ones several
    times, the unlabelled ones in part, others in each epoch. Compare the two streams of Mean Teacher
    (arXiv 1703.01780).

    As with ``DefaultSampler`` the order depends on (seed, epoch) alone, and the processes share out the
    images.

    Args:
        dataset: the data set, or a ``ConcatDataset`` of a labelled and an unlabelled one.
        labelled_share: share of labelled images in a batch, in (0, 1).
        seed: of the order. Default: one that the processes agree on.

    Raises:
        UserError: a share out of its range, or a data set without labelled or without unlabelled images.
    """

    def __init__(self, dataset, labelled_share: float, seed: Optional[int] = None):
        super().__init__(dataset, shuffle=True, seed=seed)
        if not 0 < labelled_share < 1:
            raise UserError('labelled_share', 'a number > 0 and < 1', repr(labelled_share))
        self.labelled_share = labelled_share
        labelled = np.array([has_label(dataset.get_data_info(i)) for i in range(len(dataset))])
        self._groups = torch.from_numpy(labelled).nonzero()[:, 0], torch.from_numpy(~labelled).nonzero()[:, 0]
        if not all(map(len, self._groups)):
            raise UserError(
                'SemiSupervisedSampler',
                'labelled and unlabelled images',
                f'{len(self._groups[0])} and {len(self._groups[1])}',
                "take sampler=dict(type='DefaultSampler', shuffle=True)",
            )

    def __iter__(self) -> Iterator[int]:
        """The places of the images of this process."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        ends = np.floor(np.arange(self.num_samples + 1) * self.labelled_share + 1e-9)
        is_labelled = np.diff(ends) > 0
        counts = is_labelled.sum(), (~is_labelled).sum()
        streams = [self._stream(*x, generator) for x in zip(self._groups, counts)]
        return iter([next(streams[0 if x else 1]) for x in is_labelled])

    def _stream(self, places: torch.Tensor, count: int, generator: torch.Generator) -> Iterator[int]:
        """So many places in random order, this process's; none again before all have had their turn."""
        passes = -(-int(count) * self.world_size // len(places))
        shuffled = [places[torch.randperm(len(places), generator=generator)] for _ in range(passes)]
        return iter(torch.cat(shuffled)[self.rank :: self.world_size].tolist()) if shuffled else iter(())
