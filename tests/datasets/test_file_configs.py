"""Configs of file-based data sets, on a few images in the official layouts."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmpretrain.datasets import CIFAR10
from PIL import Image

from hetkd.apis import load_config
from hetkd.clock import set_clock
from hetkd.datasets import unheld
from hetkd.registry import DATASETS, MODELS
from tests.conftest import ROOT

DATASET_CONFIGS = ROOT / 'configs/_base_/datasets'
STRONG = """_base_ = ['{folder}/{name}_224.py', '{folder}/views_strong.py']
train_dataloader = dict(dataset=dict(pipeline=[*_base_._read, *_base_._strong_pipeline]))
data_preprocessor = dict(batch_augments=_base_._strong_batch)
"""


def config_of(name, views, folder):
    """A data set's config, also with the views of ViT students."""
    if views == 'weak':
        return load_config(DATASET_CONFIGS / f'{name}_224.py')
    path = folder / 'config.py'
    path.write_text(STRONG.format(folder=DATASET_CONFIGS, name=name))
    return load_config(path)


COLOUR = (250, 120, 20)  # RGB


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (320, 256), COLOUR).save(path, quality=95)


def cub(root):
    """Four images; ids count from 1, and so do the labels."""
    rows = [
        ('001.Black_footed_Albatross/a.jpg', 1, 1),
        ('001.Black_footed_Albatross/b.jpg', 1, 0),
        ('200.Common_Yellowthroat/c.jpg', 200, 1),
        ('200.Common_Yellowthroat/d.jpg', 200, 0),
    ]
    for path, *_ in rows:
        draw(root / 'images' / path)
    for name, column in (('images', 0), ('image_class_labels', 1), ('train_test_split', 2)):
        lines = [f'{number} {row[column]}' for number, row in enumerate(rows, 1)]
        (root / f'{name}.txt').write_text('\n'.join(lines) + '\n')


def aircraft(root):
    """Variants with a space and a slash in their names."""
    for number in range(5):
        draw(root / f'data/images/000000{number}.jpg')
    for split, lines in (('trainval', '0000000 707-320\n0000001 Yak-42\n'), ('test', '0000003 F/A-18\n')):
        (root / f'data/images_variant_{split}.txt').write_text(lines)


def imagenet(root):
    """All 1,000 folders, as the data set expects; the first and last have an image."""
    for split in ('train', 'val'):
        for number in range(1000):
            (root / split / f'n{number:08}').mkdir(parents=True)
        draw(root / split / 'n00000000/x.JPEG')
        draw(root / split / 'n00000999/y.JPEG')


def custom(root):
    for split in ('train', 'val'):
        for name in ('cat', 'dog'):
            draw(root / split / name / '1.jpg')


# Data set: its layout, number of classes, labels for training and validation.
LAYOUTS = dict(
    cub=(cub, 200, [0, 199], [0, 199]),
    aircraft=(aircraft, 100, [0, 99], [73]),
    imagenet=(imagenet, 1000, [0, 999], [0, 999]),
    custom=(custom, 2, [0, 1], [0, 1]),
)


def batch(dataset):
    """All images of a data set, collated as by a loader."""
    set_clock(0, 0)
    return pseudo_collate([dataset[i] for i in range(len(dataset))])


@pytest.mark.parametrize('views', ['weak', 'strong'])
@pytest.mark.parametrize('name', LAYOUTS)
def test_images_come_out_normalised_with_their_labels(name, views, tmp_path):
    layout, classes, *labels = LAYOUTS[name]
    layout(tmp_path)
    cfg = config_of(name, views, tmp_path)
    preprocessor = MODELS.build(dict(cfg.data_preprocessor, type='ClsDataPreprocessor'))
    assert name == 'custom' or cfg.data_preprocessor.num_classes == classes
    for loader, expected in zip((cfg.train_dataloader, cfg.val_dataloader), labels):
        dataset = DATASETS.build(dict(loader.dataset, data_root=str(tmp_path)))
        assert len(dataset.metainfo['classes']) == classes
        data = batch(dataset)
        assert [int(x.gt_label) for x in data['data_samples']] == expected
        inputs = preprocessor(data)['inputs']
        assert inputs.shape == (len(expected), 3, 224, 224) and inputs.dtype == torch.float32
    # The colour is RGB, so the channel order is checked; without batch augments and jitter.
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    colour = torch.tensor((np.array(COLOUR) / 255 - mean) / std)
    assert (inputs.mean((0, 2, 3)) - colour).abs().max() < 0.05
    assert cfg.test_dataloader == cfg.val_dataloader


def test_strong_views_mix_the_batch_and_weak_ones_do_not(tmp_path):
    custom(tmp_path)
    for views, soft in (('weak', False), ('strong', True)):
        cfg = config_of('custom', views, tmp_path)
        preprocessor = MODELS.build(dict(cfg.data_preprocessor, type='ClsDataPreprocessor'))
        data = batch(DATASETS.build(dict(cfg.train_dataloader.dataset, data_root=str(tmp_path))))
        samples = preprocessor(data, training=True)['data_samples']
        assert ['gt_score' in x for x in samples] == [soft, soft]


@pytest.mark.parametrize(
    'name, size', [('cifar10_224_per_image', 224), ('cifar10_224', 224), ('cifar10_32px', 32)]
)
def test_cifar10_is_normalised_by_its_own_statistics(name, size, monkeypatch):
    monkeypatch.setattr(CIFAR10, 'load_data_list', lambda self: [dict(info)])
    cfg = load_config(DATASET_CONFIGS / f'{name}.py')
    assert [x / 255 for x in cfg.data_preprocessor.mean] == pytest.approx([0.4914, 0.4822, 0.4465], abs=3e-4)
    assert [x / 255 for x in cfg.data_preprocessor.std] == pytest.approx([0.2470, 0.2435, 0.2616], abs=3e-4)
    assert cfg.data_preprocessor.num_classes == 10
    info = dict(img=np.zeros((32, 32, 3), np.uint8), gt_label=3, img_shape=(32, 32))
    for loader, training in ((cfg.train_dataloader, True), (cfg.val_dataloader, False)):
        dataset = DATASETS.build(loader.dataset)
        assert unheld(loader.dataset.to_dict())['type'] == 'CIFAR10' and len(dataset) == 1
        set_clock(0, 0)
        preprocessor = MODELS.build({'type': 'SeededPreprocessor', **cfg.data_preprocessor})
        assert tuple(preprocessor(batch(dataset), training)['inputs'].shape) == (1, 3, size, size)


@pytest.mark.parametrize(
    'what', ['123.675', '129.3105', '125.3', "'RandomChoice'", "'RandAugment'", "'Mixup'", "'ResizeEdge'"]
)
def test_statistics_and_views_stand_in_one_file(what):
    assert len([path for path in DATASET_CONFIGS.glob('*.py') if what in path.read_text()]) == 1


def test_files_are_read_so_that_a_broken_one_is_named():
    for path in DATASET_CONFIGS.glob('*.py'):
        assert 'LoadImageFromFile' not in path.read_text()
