"""Wrappers of data sets over ``InMemory``."""

import pytest
import torch
from torch.utils.data import Subset

from hetkd.datasets import class_names, unheld
from hetkd.registry import DATASETS, RUNNERS

DIGITS = dict(type='Digits', split='train', per_class=5)
HELD = dict(type='InMemory', dataset=DIGITS)
WRAPPED = {
    'repeat': (dict(type='RepeatDataset', dataset=HELD, times=3), [*range(50)] * 3),
    'concat': (dict(type='ConcatDataset', datasets=[HELD, HELD]), [*range(50)] * 2),
    'balanced': (
        dict(type='ClassBalancedDataset', dataset=HELD, oversample_thr=0.2),
        [i for i in range(50) for _ in range(2)],
    ),
    'folds': (dict(type='KFoldDataset', dataset=HELD, num_splits=5, fold=1), [*range(10), *range(20, 50)]),
    'nested': (
        dict(type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[HELD, HELD])),
        [*range(50)] * 4,
    ),
}


@pytest.mark.parametrize('kind', WRAPPED)
def test_a_wrapper_gives_the_images_of_in_memory(kind):
    config, places = WRAPPED[kind]
    held, wrapped = DATASETS.build(HELD), DATASETS.build(config)
    assert len(wrapped) == len(places) and class_names(wrapped) == [str(i) for i in range(10)]
    for i, place in enumerate(places):
        assert torch.equal(wrapped[i]['inputs'], held.images[place])
        assert wrapped[i]['data_samples'].gt_label == held.labels[place]
        assert wrapped.get_data_info(i)['gt_label'] == held.labels[place]


def test_folds_of_image_files(folders):
    held = dict(type='InMemory', dataset=dict(type='CustomDataset', data_root=str(folders('train'))))
    first, rest = (
        DATASETS.build(dict(type='KFoldDataset', dataset=held, num_splits=4, test_mode=test))
        for test in (True, False)
    )
    paths = [x.get_data_info(i)['img_path'] for x in (first, rest) for i in range(len(x))]
    assert len(first) == 8 and sorted(paths) == paths and len(set(paths)) == 32


def test_class_balancing_repeats_rare_classes():
    """Classes 0 and 1 have 50 and 2 images: f = 2/52, r = ceil(sqrt(t/f)) = 4."""
    labels = DATASETS.build(dict(DIGITS, per_class=None, pipeline=[]))
    place = {c: [i for i in range(len(labels)) if labels.get_data_info(i)['gt_label'] == c] for c in (0, 1)}
    digits = dict(type='Digits', split='train', indices=[*place[0][:50], *place[1][:2]])
    for inner in (dict(type='InMemory', dataset=digits), dict(digits, pipeline=[])):
        balanced = DATASETS.build(dict(type='ClassBalancedDataset', dataset=inner, oversample_thr=0.5))
        found = [balanced.get_cat_ids(i)[0] for i in range(len(balanced))]
        assert (found.count(0), found.count(1)) == (50, 8)


def test_a_subset_is_looked_into():
    assert class_names(Subset(DATASETS.build(HELD), [3, 4])) == [str(i) for i in range(10)]


def test_in_memory_is_left_out_of_any_wrapper():
    config = unheld(WRAPPED['nested'][0])
    assert config['dataset']['datasets'] == [DIGITS, DIGITS]
    assert WRAPPED['nested'][0]['dataset']['datasets'] == [HELD, HELD], 'the config itself stays'


@pytest.mark.parametrize('kind', WRAPPED)
def test_a_run_trains_on_a_wrapper(kind, config_of):
    config, places = WRAPPED[kind]
    test = dict(type='InMemory', dataset=dict(type='Digits', split='test'))
    cfg = config_of(config, test, classes=10)
    cfg.data_preprocessor.type = 'BatchViewPreprocessor'
    cfg.data_preprocessor.train_view = dict(type='BatchRandomResizedCrop', scale=16)
    cfg.data_preprocessor.test_view = dict(type='BatchResizeCentreCrop', resize=16, crop=16)
    runner = RUNNERS.build(cfg)
    runner.train()
    assert runner.iter == len(places) // 8
