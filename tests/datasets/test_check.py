"""Counting images and finding broken ones."""

import pytest
from PIL import Image

from hetkd.datasets import broken_images, count_problem
from hetkd.registry import DATASETS


@pytest.mark.parametrize(
    'config, images, classes',
    [
        (dict(type='CIFAR10', split='train'), 50_000, 10),
        (dict(type='CIFAR100', split='test'), 10_000, 100),
        (dict(type='TinyImageNet', split='train'), 100_000, 200),
        (dict(type='CUB', split='train'), 5_994, 200),
        (dict(type='FGVCAircraft', split='trainval'), 6_667, 100),
        (dict(type='ImageNet', split='val'), 50_000, 1000),
        (dict(type='CIFAR100', split='train', indices=64), 64, 100),
        (dict(type='CustomDataset', data_prefix='train'), 7, 2),
    ],
)
def test_a_whole_data_set_and_one_of_unknown_size_are_right(config, images, classes):
    assert count_problem(config, images, classes) is None


def test_another_count_says_what_was_expected_and_what_to_do():
    config = dict(type='TinyImageNet', split='train', data_root='data/x')
    assert count_problem(config, 20_000, 200) == (
        'TinyImageNet train: expected 100,000 images of 200 classes, got 20,000 of 200 in data/x; unpack the '
        'archive again, or name the folder that holds the whole data set (docs/en/data.md)'
    )
    assert 'of 100 classes, got 3,333 of 99' in count_problem(
        dict(type='FGVCAircraft', split='test'), 3333, 99
    )


@pytest.mark.parametrize('workers', [1, 2])
def test_every_broken_image_is_listed_and_no_other(workers, tmp_path):
    for number in range(40):
        Image.new('RGB', (64, 64), (number, 0, 0)).save(tmp_path / f'{number:02}.jpg')
    (tmp_path / '07.jpg').write_bytes((tmp_path / '07.jpg').read_bytes()[:-50])
    (tmp_path / '39.jpg').write_text('')
    dataset = DATASETS.build(dict(type='CustomDataset', data_root=str(tmp_path), with_label=False))
    first, second = broken_images(dataset, workers)
    assert first.startswith(
        f'{tmp_path}/07.jpg: expected a whole image, got one that cannot be read (image file'
    )
    assert second.startswith(
        f'{tmp_path}/39.jpg: expected a whole image, got one that cannot be read (cannot iden'
    )


def test_images_in_memory_are_left_out():
    assert broken_images(DATASETS.build(dict(type='Digits'))) == []
