"""Image folders and short runs on them."""

import numpy as np
import pytest
from PIL import Image

from hetkd.apis import load_config
from hetkd.apis.launch import LOADERS, complete_loaders
from tests.conftest import ROOT

CLASSES = tuple('abcdefgh')
SIZE = 16


@pytest.fixture
def folders(tmp_path):
    """``folders(split, classes)``: a folder of 16 px images, four per class, each class of its own grey."""

    def make(split, classes=CLASSES, root=tmp_path):
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            grey = CLASSES.index(name.strip().lower()) * 30 if name.strip().lower() in CLASSES else 255
            for number in range(4):
                pixels = np.full((SIZE, SIZE, 3), grey, np.uint8)
                Image.fromarray(pixels).save(folder / f'{number}.png')
        return root

    return make


def folder(root, split, *transforms):
    """Config of a data set of image folders."""
    pipeline = [dict(type='LoadImage'), *transforms, dict(type='PackInputs')]
    return dict(type='CustomDataset', data_root=str(root), data_prefix=split, pipeline=pipeline)


@pytest.fixture
def config_of(tmp_path):
    """``config_of(train, val, test=None, method='scratch')``: a run of one epoch; val tests by default."""
    count = iter(range(100))

    def make(train, val, test=None, method='scratch', classes=8):
        options = {
            'train_dataloader.batch_size': 8,
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'data_preprocessor.num_classes': classes,
            'default_hooks.teacher_check.allow_chance': True,
        }
        cfg = load_config(ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py', options, method)
        cfg.train_dataloader.dataset, cfg.val_dataloader.dataset = train, val
        cfg.test_dataloader.dataset = test or val
        files = any(x['type'] == 'LoadImage' for x in train.get('pipeline', ()))
        cfg.data_preprocessor.to_rgb = files  # files come as BGR
        number = next(count)
        cfg.work_dir = str(tmp_path / f'run{number}')
        cfg.experiment_name = f'{tmp_path.name}{number}'
        complete_loaders(cfg, LOADERS)
        return cfg

    return make
