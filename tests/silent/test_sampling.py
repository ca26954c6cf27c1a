"""An image that an epoch takes several times has another view each time, whatever repeats it."""

import itertools
from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import BaseDataset, InfiniteSampler
from mmengine.dataset import sampler as mm_samplers
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from mmpretrain.datasets.samplers import repeat_aug
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler, WeightedRandomSampler

from hetkd.clock import set_clock
from hetkd.datasets import InMemory
from hetkd.engine import DistillRunner, EpochSeedHook
from hetkd.engine.batches import _Counted, _Pieces, check_whole, starting_at
from hetkd.engine.hooks.training_data import labels_of
from hetkd.errors import UserError
from hetkd.registry import BATCH_AUGMENTS, DATA_SAMPLERS, DATASETS, MODELS, TRANSFORMS
from hetkd.seeding import seeded, uniform
from tests.engine.conftest import runner_of  # noqa: F401
from tests.engine.test_loops import Terminate

IMAGES = 20
VIEW = [dict(type='RandomSeeded', transforms=[dict(type='Noise')]), dict(type='PackInputs')]


@TRANSFORMS.register_module()
class Noise(BaseTransform):
    """A view that no other one equals by chance."""

    def transform(self, results):
        return dict(results, img=np.random.randint(0, 256, (8, 8, 3), np.uint8))


@BATCH_AUGMENTS.register_module()
class BatchNoise:
    """The same of whole batches."""

    draws = 3

    def __call__(self, images, numbers):
        return numbers[:, :, None, None].expand(-1, -1, 8, 8).float(), None, None


@DATASETS.register_module()
class OwnRepeat(Dataset):
    """A user's wrapper that knows nothing of hetkd: each image twice, in turn."""

    def __init__(self, dataset):
        self.inner = DATASETS.build(dataset)
        self.metainfo = self.inner.metainfo

    def __len__(self):
        return 2 * len(self.inner)

    def __getitem__(self, place):
        return self.inner[[i // 2 for i in range(len(self))][place]]


@DATASETS.register_module()
class OwnPair(OwnRepeat):
    """Two views of an image in one sample."""

    def __len__(self):
        return len(self.inner)

    def __getitem__(self, place):
        both = [self.inner[place] for _ in range(2)]
        return dict(both[0], inputs=torch.cat([x['inputs'] for x in both], 2))


@DATASETS.register_module()
class BalancedDigits(BaseDataset):
    """Three images of class 0 for each one of class 1."""

    METAINFO = dict(classes=('0', '1'))

    def load_data_list(self):
        digits = DATASETS.build(dict(type='Digits', per_class=15, pipeline=[]))
        kept = [*range(15), *range(15, 20)]
        return [dict(img=digits.get_data_info(i)['img'], gt_label=int(i >= 15)) for i in kept]

    def get_cat_ids(self, idx):
        return [self.get_data_info(idx)['gt_label']]


@DATA_SAMPLERS.register_module()
class Weighted(WeightedRandomSampler):
    """torch's sampler with replacement, in mmengine's form."""

    def __init__(self, dataset, seed=None):
        generator = torch.Generator().manual_seed(0)
        super().__init__([1.0] * 5 + [0.0] * (len(dataset) - 5), 20, generator=generator)


def digits(pipeline=VIEW):
    return dict(type='Digits', per_class=IMAGES // 10, pipeline=pipeline)


HELD = dict(type='InMemory', dataset=dict(type='Digits', per_class=IMAGES // 10))
RARE = dict(type='BalancedDigits', pipeline=VIEW)
RARE_HELD = dict(type='InMemory', dataset=dict(type='BalancedDigits'))
PLAIN = dict(type='DefaultSampler', shuffle=True)
# Data set, sampler, and how often the epoch takes images.
CASES = dict(
    plain=(digits(), PLAIN, {1}),
    repeat=(dict(type='RepeatDataset', times=4, dataset=digits()), PLAIN, {4}),
    concat=(dict(type='ConcatDataset', datasets=[digits(), digits()]), PLAIN, {2}),
    balanced=(
        dict(
            type='ClassBalancedDataset',
            oversample_thr=1.0,
            dataset=RARE,
        ),
        PLAIN,
        {1, 2},
    ),
    own=(dict(type='OwnRepeat', dataset=digits()), PLAIN, {2}),
    nested=(
        dict(type='RepeatDataset', times=2, dataset=dict(type='RepeatDataset', times=2, dataset=digits())),
        PLAIN,
        {4},
    ),
    sampler=(digits(), dict(type='RepeatAugSampler', num_repeats=3), {2, 3}),
    weighted=(digits(), dict(type='Weighted'), None),
    both=(
        dict(type='RepeatDataset', times=2, dataset=digits()),
        dict(type='RepeatAugSampler', num_repeats=3),
        None,
    ),
    in_memory=(HELD, PLAIN, {1}),
    repeat_in_memory=(dict(type='RepeatDataset', times=4, dataset=HELD), PLAIN, {4}),
    balanced_in_memory=(
        dict(
            type='ClassBalancedDataset',
            oversample_thr=1.0,
            dataset=RARE_HELD,
        ),
        PLAIN,
        {1, 2},
    ),
    sampler_in_memory=(HELD, dict(type='RepeatAugSampler', num_repeats=3), {2, 3}),
)


REPEATING = [name for name, (*_, times) in CASES.items() if times != {1}]


@pytest.fixture(autouse=True)
def clock():
    set_clock(0, 1)


def loader_of(dataset, sampler, workers=0):
    options = dict(batch_size=4, num_workers=workers, collate_fn=dict(type='default_collate'))
    cfg = Config(dict(dataset=dataset, sampler=sampler, **options))
    return DistillRunner.build_dataloader(cfg.to_dict(), seed=0)


def views_of(loader):
    """(image, view) one after the other, as a net would get them."""
    preprocessor = MODELS.build(dict(type='BatchViewPreprocessor', train_view=dict(type='BatchNoise')))
    found = []
    for batch in loader:
        if isinstance(innermost(loader.dataset), InMemory):
            batch = preprocessor(batch, True)
        found += [
            (x.sample_idx, view.numpy().tobytes()) for x, view in zip(batch['data_samples'], batch['inputs'])
        ]
    return found


def innermost(dataset):
    return innermost(dataset.dataset) if hasattr(dataset, 'dataset') else dataset


@pytest.mark.parametrize('case', CASES)
def test_no_two_draws_share_a_view(case):
    dataset, sampler, times = CASES[case]
    found = views_of(loader_of(dataset, sampler))
    assert len({view for _, view in found}) == len(found)
    counts = Counter(image for image, _ in found)
    if times:
        assert set(counts.values()) <= times and max(counts.values()) == max(times)
    else:
        assert max(counts.values()) > 2


@pytest.mark.parametrize('case', CASES)
def test_the_views_of_an_epoch_do_not_depend_on_workers_or_a_resume(case):
    dataset, sampler, _ = CASES[case]
    whole = views_of(loader_of(dataset, sampler))
    if case != 'weighted':  # its generator has gone on
        loader = loader_of(dataset, sampler)
        assert views_of(loader) == whole == views_of(loader)
    assert views_of(loader_of(dataset, sampler, workers=2)) == whole
    loader = loader_of(dataset, sampler)
    with starting_at(loader, 2):
        assert views_of(loader) == whole[8:]
        assert case == 'weighted' or views_of(loader) == whole, 'whoever reads it again gets all'
    set_clock(0, 2)
    assert not {x for _, x in views_of(loader_of(dataset, sampler))} & {x for _, x in whole}


@pytest.mark.parametrize('case', [x for x in CASES if CASES[x][1]['type'] == 'RepeatAugSampler'])
def test_repeats_spread_over_processes_are_those_of_one(case, monkeypatch):
    dataset, sampler, _ = CASES[case]
    whole, parts = views_of(loader_of(dataset, sampler)), []
    for rank in range(2):
        monkeypatch.setattr(repeat_aug, 'get_dist_info', lambda rank=rank: (rank, 2))
        parts.append(views_of(loader_of(dataset, sampler)))
    assert [x for both in zip(*parts) for x in both] == whole


@pytest.mark.parametrize('kind', ['digits', 'in_memory'])
def test_plain_data_have_the_views_of_their_places(kind):
    """As ever: of (seed, epoch, place)."""
    dataset, sampler, _ = CASES['plain' if kind == 'digits' else 'in_memory']
    loader = loader_of(dataset, sampler)
    for batch in loader:
        assert all('draw' not in x for x in batch['data_samples'])
    found = dict(views_of(loader))
    if kind == 'digits':
        with seeded(0, 1, 7):
            expected = torch.from_numpy(np.random.randint(0, 256, (8, 8, 3), np.uint8)).permute(2, 0, 1)
    else:
        expected = uniform((0, 1), [7], 3)[0, :, None, None].expand(3, 8, 8).float()
    assert found[7] == expected.numpy().tobytes()


def test_two_views_in_one_sample_differ_and_repeat():
    dataset = dict(type='OwnPair', dataset=digits())
    whole = views_of(loader_of(dataset, PLAIN))
    assert whole == views_of(loader_of(dataset, PLAIN, workers=2))
    for batch in loader_of(dataset, PLAIN):
        one, two = batch['inputs'].chunk(2, 3)
        assert all(not torch.equal(a, b) for a, b in zip(one, two))


class Grouped(BatchSampler):
    """A user's batches of images of one parity."""

    def __iter__(self):
        batches = [], []
        for place in self.sampler:
            batches[place % 2].append(place)
            if len(batches[place % 2]) == self.batch_size:
                yield list(batches[place % 2])
                batches[place % 2].clear()


@pytest.mark.parametrize('workers', [0, 2])
def test_batches_of_a_users_own_order_are_left_out_as_batches(workers):
    def loader():
        plain = loader_of(digits(), PLAIN)
        batches = Grouped(plain.batch_sampler.sampler, 4, True)
        options = dict(persistent_workers=workers > 0, num_workers=workers, collate_fn=plain.collate_fn)
        return DataLoader(plain.dataset, batch_sampler=batches, **options)

    whole, rest = views_of(loader()), loader()
    with starting_at(rest, 2):
        assert views_of(rest) == whole[8:]
    assert views_of(rest) == whole


@pytest.mark.parametrize(
    'sampler, drop_last, words',
    [
        (InfiniteSampler, False, 'x.sampler: expected one that comes to an end'),
        (SequentialSampler, True, 'x.batch_sampler.drop_last: expected False, .* which leaves 5 out'),
    ],
)
def test_a_batch_sampler_has_an_end_and_each_image(sampler, drop_last, words):
    data = range(13)
    batches = BatchSampler(sampler(data), 8, drop_last)
    with pytest.raises(UserError, match=words):
        check_whole(DataLoader(data, batch_sampler=batches), 'x')
    check_whole(DataLoader(data, batch_sampler=[[0, 1], [2]]), 'x')


class Drawn:
    """A user's sampler with random numbers of its own, which go on from epoch to epoch."""

    def __init__(self, rank, generator):
        self.rank, self.world_size, self.generator = rank, 2, generator

    def __iter__(self):
        if isinstance(self.generator, torch.Generator):
            order = torch.randperm(IMAGES, generator=self.generator).tolist()
        else:
            order = self.generator.permutation(IMAGES).tolist()
        return iter(order[self.rank :: 2])

    def __len__(self):
        return IMAGES // 2


@pytest.mark.parametrize('kind', [lambda: torch.Generator().manual_seed(3), lambda: np.random.default_rng(3)])
def test_processes_of_a_sampler_with_a_generator_share_no_image(kind):
    one, other = (_Counted(Drawn(rank, kind())) for rank in range(2))
    epochs = [list(map(int, [*one, *other])) for _ in range(3)]
    assert all(sorted(x) == list(range(IMAGES)) for x in epochs) and epochs[0] != epochs[1]


@DATA_SAMPLERS.register_module()
class OnlyFirst(InfiniteSampler):
    """A user's endless sampler: the first four images."""

    def __iter__(self):
        yield from itertools.cycle(range(4))


def test_an_endless_sampler_of_ones_own_is_the_one_that_is_asked(runner_of):  # noqa: F811
    seen = []

    class Note(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            seen.extend(x.sample_idx for x in data_batch['data_samples'])

    runner = runner_of(
        'scratch',
        train_cfg=dict(_delete_=True, by_epoch=False, max_iters=4, val_interval=100),
        train_dataloader__sampler=dict(_delete_=True, type='OnlyFirst'),
        param_scheduler=[],
    )
    runner.register_hook(Note())
    runner.train()
    assert set(seen) == set(range(4))


def test_a_loops_own_batches_are_not_replaced():
    class Own(IterBasedTrainLoop):
        def __init__(self, dataloader):
            self._dataloader, self.dataloader_iterator, self._iter = dataloader, iter('own'), 0

        dataloader = property(lambda self: self._dataloader)

    loop = Own(loader_of(digits(), PLAIN))
    mine = loop.dataloader_iterator
    EpochSeedHook().before_train(SimpleNamespace(train_loop=loop, seed=0))
    assert loop.dataloader_iterator is mine


def test_an_endless_sampler_of_two_processes_repeats_no_view(monkeypatch):
    """Its epoch of a process is as long as the data, so two processes see all images twice."""
    parts = []
    for rank in range(2):
        monkeypatch.setattr(mm_samplers, 'get_dist_info', lambda rank=rank: (rank, 2))
        loader = loader_of(digits(), dict(type='InfiniteSampler', shuffle=True))
        loader.batch_sampler.sampler = _Pieces(loader.batch_sampler.sampler, 0)
        parts += views_of(loader)
    assert len(parts) == len({view for _, view in parts}) == 2 * IMAGES
    assert set(Counter(image for image, _ in parts).values()) == {2}


def test_equal_batches_of_repeated_images_are_mixed_differently():
    """Mixup's partner and share: eight copies of a batch of one data set in order."""
    dataset = dict(type='RepeatDataset', times=8, dataset=digits([dict(type='PackInputs')]))
    loader = loader_of(dataset, dict(type='DefaultSampler', shuffle=False))
    mix = dict(augments=[dict(type='Mixup', alpha=1.0)])
    preprocessor = MODELS.build(dict(type='SeededPreprocessor', num_classes=10, batch_augments=mix))
    found = defaultdict(set)
    for batch in loader:
        first = batch['data_samples'][0].sample_idx
        found[first].add(preprocessor(batch, True)['inputs'].numpy().tobytes())
    assert {len(x) for x in found.values()} == {8} and len(found) == IMAGES // 4


def test_labels_of_a_memory_bank_are_by_image(monkeypatch):
    plain = labels_of(DATASETS.build(digits()))
    for case in ('repeat', 'nested', 'repeat_in_memory'):
        assert torch.equal(labels_of(DATASETS.build(CASES[case][0])), plain)
    wrapper = DATASETS.build(dict(type='OwnRepeat', dataset=digits()))
    wrapper.get_data_info = lambda i: wrapper.inner.get_data_info(i // 2)
    with pytest.raises(UserError, match='each image at its own place.*got image 0 at place 1 of OwnRepeat'):
        labels_of(wrapper)


@pytest.mark.parametrize('case', ['repeat_in_memory', 'both'])
def test_a_run_on_repeated_images_is_resumed_as_it_was(case, runner_of, tmp_path):  # noqa: F811
    dataset, sampler, _ = CASES[case]
    options = {
        'train_dataloader.dataset': dict(dataset, _delete_=True),
        'train_dataloader.sampler': dict(sampler, _delete_=True),
        'train_dataloader.batch_size': 4,
        'default_hooks.checkpoint.interval': 1000,
        'train_cfg.max_epochs': 2,
        'train_cfg.val_interval': 2,
        'val_dataloader.dataset.per_class': 5,
        'data_preprocessor.batch_augments': dict(augments=[dict(type='Mixup', alpha=1.0)]),
    }
    if case == 'repeat_in_memory':
        view = dict(type='BatchRandomCrop', padding=2)
        options |= {'data_preprocessor.type': 'BatchViewPreprocessor', 'data_preprocessor.train_view': view}
        options['data_preprocessor.to_rgb'] = False

    def run(name, workers, step=None, **more):
        runner = runner_of('kd', tmp_path / name, train_dataloader__num_workers=workers, **options, **more)
        if step:
            runner.register_hook(Terminate(step))
            with pytest.raises(SystemExit):
                runner.train()
        else:
            runner.train()
        return runner.message_hub.get_scalar('train/loss').data[0].tolist()

    whole = run('whole', 0)
    assert run('workers', 2) == whole
    length = len(whole) // 2
    run('broken', 0, step=length + 2)
    assert run('broken', 0, resume=True) == whole
