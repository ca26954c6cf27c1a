"""Data loaders that start in the middle, and the endless batches of an iteration-based run."""

from contextlib import contextmanager
from itertools import count, islice, repeat

from mmengine.dataset import InfiniteSampler


@contextmanager
def starting_at(loader, batch: int):
    """Leave out the first batches of a data loader's next epoch, without loading them."""
    if batch == 0:
        yield
        return
    batches = loader.batch_sampler
    whole = batches.sampler
    batches.sampler = _Rest(whole, batch * batches.batch_size)
    try:
        yield
    finally:
        batches.sampler = whole


class _Rest:
    """The indices of a sampler from a place on."""

    def __init__(self, sampler, first: int):
        self.sampler, self.first = sampler, first

    def __iter__(self):
        return islice(iter(self.sampler), self.first, None)

    def __len__(self) -> int:
        return len(self.sampler)  # the epoch's length stays what it is


def epoch_length(loader) -> int:
    """Batches of an epoch.

    Raises:
        ValueError: there are none.
    """
    if len(loader) == 0:
        raise ValueError(
            f'train_dataloader: expected at least one batch, got {len(loader.dataset)} images and batches of '
            f'{loader.batch_size} (drop_last); lower batch_size'
        )
    return len(loader)


def endless(runner):
    """The batches of an ``IterBasedTrainLoop``, which pass through the data set in epochs.

    mmengine steps over the batches that a resumed run has seen; here that loads nothing. Before each epoch,
    while no data worker reads ahead, the hooks' ``before_pass(runner, epoch)`` is called.
    """
    loop = runner.train_loop
    loader = loop.dataloader
    yield from repeat(None, loop.iter)
    begin, first = divmod(loop.iter, epoch_length(loader))
    sampler = loader.batch_sampler.sampler
    if isinstance(sampler, InfiniteSampler):
        loader.batch_sampler.sampler = _Pieces(sampler, begin * len(sampler))
    for epoch in count(begin):
        if hasattr(sampler, 'set_epoch'):
            sampler.set_epoch(epoch)
        runner.call_hook('before_pass', epoch=epoch)
        with starting_at(loader, first):
            yield from loader
        first = 0


class _Pieces:
    """An endless sampler in pieces of its length, from a place on."""

    def __init__(self, sampler, first: int):
        self.indices, self.length = islice(iter(sampler), first, None), len(sampler)

    def __iter__(self):
        return islice(self.indices, self.length)

    def __len__(self) -> int:
        return self.length
