"""Data loaders that start in the middle or repeat images, and the endless batches of iteration-based runs."""

import copy
from collections import Counter
from contextlib import contextmanager
from itertools import count, islice, repeat, zip_longest

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_rank, get_world_size
from mmpretrain.datasets import SequentialSampler
from torch.utils.data import DataLoader

from hetkd.draws import Draw, note_draws
from hetkd.errors import UserError

# They give each place once in an epoch, and repeat a few for batches that are even over the processes.
ONCE = (DefaultSampler, SequentialSampler)


def tell_draws(loader: DataLoader) -> DataLoader:
    """Have a loader tell the draws of one image in an epoch apart; see :mod:`hetkd.draws`."""
    note_draws(loader.dataset)
    batches = loader.batch_sampler
    sampler = getattr(batches, 'sampler', None)
    if sampler is not None and type(sampler) not in ONCE and not isinstance(sampler, InfiniteSampler):
        batches.sampler = _Counted(sampler)
    return loader


class _Counted:
    """The places of a sampler; one that this epoch has had before, in whatever process, as a ``Draw``.

    A sampler with ``rank`` and ``world_size`` is asked for the places of all processes, which take turns. The
    processes of any other are counted apart.
    """

    def __init__(self, sampler):
        self.sampler = sampler

    def __getattr__(self, name: str):
        if name == 'sampler':  # not there yet: it is being unpickled
            raise AttributeError(name)
        return getattr(self.sampler, name)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self):
        rank, samplers = getattr(self.sampler, 'rank', None), [self.sampler]
        if rank is not None and self.sampler.world_size > 1:
            samplers = [copy.copy(self.sampler) for _ in range(self.sampler.world_size)]
            for i, sampler in enumerate(samplers):
                sampler.rank = i
        alone = get_world_size() > 1 and rank is None
        times = Counter()
        for places in zip_longest(*samplers):
            for i, place in enumerate(places):
                if place is None:
                    continue
                before, times[place] = times[place], times[place] + 1
                if alone:
                    before = before * get_world_size() + get_rank()
                if len(samplers) == 1 or i == rank:
                    yield Draw(place, before) if before else place


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
        UserError: there are none.
    """
    if len(loader) == 0:
        images, processes = len(loader.dataset), get_world_size()
        raise UserError(
            'train_dataloader',
            'at least one batch in an epoch',
            f'{images} images for batches of {loader.batch_size} in {processes} processes, of which '
            'drop_last keeps none',
            f'lower batch_size to {max(1, images // processes)} at most, or set drop_last=False',
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
    """mmengine's endless sampler in pieces of its length, from a place on.

    Its own iterator cannot be started twice, and the loop has started it.
    """

    def __init__(self, sampler: InfiniteSampler, first: int):
        self.indices, self.length = islice(sampler._indices_of_rank(), first, None), len(sampler)
        self.rank, self.processes = sampler.rank, sampler.world_size

    def __iter__(self):
        # The processes' pieces make up as many passes over the data as there are processes.
        for i, place in enumerate(islice(self.indices, self.length)):
            before = (i * self.processes + self.rank) // self.length
            yield Draw(place, before) if before else place

    def __len__(self) -> int:
        return self.length
