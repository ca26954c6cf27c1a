"""Tiny-ImageNet: the layout on a made-up copy, the numbers on the real one if it is available."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import default_collate
from PIL import Image

from hetkd.apis import load_config
from hetkd.clock import set_clock
from hetkd.datasets import TinyImageNet
from hetkd.errors import UserError
from hetkd.registry import DATASETS, MODELS

ROOT = os.environ.get('HETKD_TINY_IMAGENET', 'data/tiny-imagenet-200')
needs_data = pytest.mark.skipif(
    not os.path.isdir(os.path.join(ROOT, 'train')),
    reason='no Tiny-ImageNet: set HETKD_TINY_IMAGENET to the folder tiny-imagenet-200',
)
WNIDS = ('n02', 'n01', 'n03')


@pytest.fixture
def folder(tmp_path):
    """Three classes with two images each for training, and five for validation."""
    root = tmp_path / 'tiny-imagenet-200'
    (root / 'val/images').mkdir(parents=True)
    (root / 'wnids.txt').write_text('\n'.join(WNIDS) + '\n')
    (root / 'words.txt').write_text('n01\tdog, hound\nn02\tcat\nn03\tbird, fowl\nn04\tfish\n')

    def draw(path, value):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (64, 64), (value, 0, 0)).save(path)

    for number, wnid in enumerate(WNIDS):
        for i in range(2):
            draw(root / f'train/{wnid}/images/{wnid}_{i}.JPEG', 10 * number)
    lines = []
    for i in range(5):
        draw(root / f'val/images/val_{i}.JPEG', i)
        lines.append(f'val_{i}.JPEG\t{WNIDS[i % 3]}\t0\t0\t63\t63')
    (root / 'val/val_annotations.txt').write_text('\n'.join(lines) + '\n')
    return root


def build(root, split, **options):
    return TinyImageNet(data_root=str(root), split=split, download=False, pipeline=[], **options)


def test_classes_are_in_the_order_of_their_sorted_ids(folder):
    train, val = build(folder, 'train'), build(folder, 'val')
    assert train.metainfo['classes'] == val.metainfo['classes'] == ('dog', 'cat', 'bird')
    for dataset in (train, val):
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            assert Path(info['img_path']).exists()
    found = [
        (Path(train.get_data_info(i)['img_path']).name, train.get_data_info(i)['gt_label']) for i in range(6)
    ]
    assert found[:3] == [('n01_0.JPEG', 0), ('n01_1.JPEG', 0), ('n02_0.JPEG', 1)]
    assert [val.get_data_info(i)['gt_label'] for i in range(5)] == [1, 0, 2, 1, 0]


@pytest.mark.parametrize(
    'gone, split',
    [
        ('wnids.txt', 'train'),
        ('words.txt', 'val'),
        ('train/n03/images', 'train'),
        ('val/val_annotations.txt', 'val'),
        ('val/images/val_3.JPEG', 'val'),
    ],
)
def test_what_is_missing_is_named(gone, split, folder):
    (folder / gone).rename(folder.parent / 'gone')
    with pytest.raises(UserError, match=f'Tiny-ImageNet: expected .*{gone}, got none; unpack http'):
        build(folder, split)


def test_an_empty_class_is_named(folder):
    for path in (folder / 'train/n02/images').iterdir():
        path.unlink()
    with pytest.raises(UserError, match='expected .*train/n02/images, got none'):
        build(folder, 'train')


def test_it_is_downloaded_where_it_is_absent(folder, tmp_path, monkeypatch):
    archive = tmp_path / 'made.tar'
    with tarfile.open(archive, 'w') as tar:
        tar.add(folder, 'tiny-imagenet-200')
    asked = []

    def fetch(url, root, filename, md5):
        asked.append((url, md5))
        with tarfile.open(archive) as tar:
            tar.extractall(root, filter='data')

    monkeypatch.setattr('hetkd.datasets.tiny_imagenet.download_and_extract_archive', fetch)
    root = tmp_path / 'other/tiny-imagenet-200'
    for _ in range(2):
        assert len(TinyImageNet(data_root=str(root), split='val', pipeline=[])) == 5
    assert asked == [('http://cs231n.stanford.edu/tiny-imagenet-200.zip', '90528d7ca1a48142e341f4ef8d21d0de')]


def test_another_split_is_refused(folder):
    with pytest.raises(UserError, match="split: expected 'train' or 'val', got 'test'"):
        build(folder, 'test')


@pytest.mark.parametrize(
    'name, size',
    [
        ('_base_/datasets/tiny-imagenet_224_per_image', 224),
        ('teachers/swin-t_tiny-imagenet', 224),
    ],
)
def test_pipelines_give_images_of_their_size(name, size, folder):
    cfg = load_config(f'configs/{name}.py')
    assert cfg.data_preprocessor.to_rgb and cfg.data_preprocessor.num_classes == 200
    assert cfg.test_dataloader == cfg.val_dataloader and cfg.val_dataloader.dataset.split == 'val'
    set_clock(0, 0)
    for loader, label in ((cfg.train_dataloader, 0), (cfg.val_dataloader, 1)):
        dataset = DATASETS.build(dict(loader.dataset, data_root=str(folder), download=False))
        sample = dataset[0]
        assert tuple(sample['inputs'].shape) == (3, size, size)
        assert int(sample['data_samples'].gt_label) == label


def test_views_of_batches_are_of_the_same_images_in_rgb(folder):
    inputs = []
    for form in ('_per_image', ''):
        cfg = load_config(f'configs/_base_/datasets/tiny-imagenet_224{form}.py')
        config = cfg.val_dataloader.dataset
        (config if form else config.dataset).update(data_root=str(folder), download=False)
        dataset = DATASETS.build(config)
        batch = default_collate([dataset[i] for i in range(len(dataset))])
        data = MODELS.build({'type': 'SeededPreprocessor', **cfg.data_preprocessor})(batch, False)
        inputs.append(data['inputs'])
        assert int(data['data_samples'][0].gt_label) == 1
    assert inputs[0].shape[1:] == (3, 224, 224) and (inputs[0] - inputs[1]).abs().max() < 1.6 / 57


@pytest.mark.data
@needs_data
def test_the_real_one_has_200_classes():
    train, val = build(ROOT, 'train'), build(ROOT, 'val')
    assert len(val) == 10_000 and len(train) in (20_000, 100_000)
    assert len(train.metainfo['classes']) == 200 and train.metainfo['classes'][0] == 'goldfish'
    for dataset in (train, val):
        labels = np.array([dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))])
        assert set(np.bincount(labels)) == {len(dataset) // 200}
    with Image.open(val.get_data_info(0)['img_path']) as image:
        assert image.size == (64, 64)
