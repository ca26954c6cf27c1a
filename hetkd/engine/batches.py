"""Data loaders that start in the middle or repeat images, and the endless batches of iteration-based runs."""

import copy
import random
from collections import Counter
from contextlib import contextmanager
from itertools import count, islice, repeat, zip_longest
from typing import Optional

import numpy as np
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_rank, get_world_size
from mmpretrain.datasets import SequentialSampler
from torch.utils.data import BatchSampler, DataLoader

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


def sampler_of(loader: DataLoader):
    """The sampler of the config, also within a batch sampler that keeps it as ``sampler``."""
    sampler = getattr(loader.batch_sampler, 'sampler', None)
    return sampler.sampler if isinstance(sampler, _Counted) else sampler


def batch_size_of(loader: DataLoader) -> Optional[int]:
    """Images of a batch, also of a batch sampler; None of one that does not say."""
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None)


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
            samplers = [
                self.sampler if i == rank else _as_rank(self.sampler, i)
                for i in range(self.sampler.world_size)
            ]
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


def _as_rank(sampler, rank: int):
    """A sampler as another process has it, with random numbers of its own."""
    other = copy.copy(sampler)
    other.rank = rank
    for name, value in vars(sampler).items():
        if isinstance(value, torch.Generator):
            setattr(other, name, value.clone_state())
        elif isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
            setattr(other, name, copy.deepcopy(value))
    return other


@contextmanager
def starting_at(loader, batch: int):
    """Leave out the first batches of a data loader's next epoch, without loading them.

    Whoever reads the loader again, as a hook at the epoch's end may, gets the whole.
    """
    if batch == 0:
        yield
        return
    batches = loader.batch_sampler
    if type(batches) is not BatchSampler:  # which may join images in an order of its own
        vars(loader)['batch_sampler'] = _Rest(batches, batch)  # torch refuses to set it
        yield
        return
    whole = batches.sampler
    batches.sampler = _Rest(whole, batch * batches.batch_size)
    try:
        yield
    finally:
        batches.sampler = whole


class _Rest:
    """The indices or batches of a sampler, of which the first are left out once."""

    def __init__(self, sampler, first: int):
        self.sampler, self.first = sampler, first

    def __getattr__(self, name: str):
        if name == 'sampler':  # not there yet: it is being unpickled
            raise AttributeError(name)
        return getattr(self.sampler, name)

    def __iter__(self):
        first, self.first = self.first, 0  # when it is read: torch makes an iterator that nobody reads
        yield from islice(iter(self.sampler), first, None)

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


def check_ends(loader, name: str) -> None:
    """Refuse an endless sampler where an epoch has to end.

    Raises:
        UserError: names it.
    """
    if isinstance(sampler_of(loader), InfiniteSampler):
        raise UserError(
            f'{name}.sampler',
            'one that comes to an end, as DefaultSampler does',
            'InfiniteSampler: the epoch would never end',
            'change it, or train by iterations: train_cfg.by_epoch=False',
        )


def check_whole(loader, name: str) -> None:
    """Refuse a loader that does not give each image that is to be measured.

    Raises:
        UserError: it drops the last batch, or never ends.
    """
    check_ends(loader, name)
    drops = getattr(loader.batch_sampler, 'drop_last', False)
    sampler, size = sampler_of(loader), batch_size_of(loader)
    if drops and sampler is not None and size and len(loader) * size < len(sampler):
        place = 'drop_last' if loader.batch_size else 'batch_sampler.drop_last'
        left = len(sampler) - len(loader) * size
        raise UserError(
            f'{name}.{place}', 'False, so that each image is measured', f'True, which leaves {left} out',
            'leave it out',
        )  # fmt: skip


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
    if type(sampler) is InfiniteSampler:
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
