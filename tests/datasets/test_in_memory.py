"""In-memory data sets."""

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmpretrain.datasets import CustomDataset
from PIL import Image
from torch.utils.data import DataLoader

from hetkd.apis import load_config
from hetkd.datasets import asks_for_unlabelled
from hetkd.datasets.digest import data_digest
from hetkd.datasets.transforms import LoadImage
from hetkd.engine.hooks.training_data import labels_of
from hetkd.errors import UserError
from hetkd.registry import DATASETS

COLOURS = dict(cat=(250, 120, 20), dog=(10, 60, 200))  # RGB


def in_memory(**dataset):
    return DATASETS.build(dict(type='InMemory', dataset=dataset))


@pytest.fixture
def folder(tmp_path):
    """Two classes of three images each."""
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new('RGB', (12, 8), colour).save(tmp_path / name / f'{number}.png')
    return tmp_path


def test_a_sample_is_what_pack_inputs_gives():
    plain = DATASETS.build(dict(type='Digits', pipeline=[dict(type='PackInputs')]))
    held = in_memory(type='Digits')
    assert len(held) == len(plain) == 1197 and held.metainfo == plain.metainfo
    for i in (0, 700, -1):
        got, expected = held[i], plain[i % 1197]
        assert got.keys() == expected.keys() and torch.equal(got['inputs'], expected['inputs'])
        got, expected = got['data_samples'], expected['data_samples']
        assert got.metainfo_keys() == ['sample_idx'] and got.sample_idx == expected.sample_idx
        assert torch.equal(got.gt_label, expected.gt_label) and got.gt_label.dtype == torch.int64
    with pytest.raises(IndexError):
        held[1197]


def test_infos_are_the_data_sets_own(folder):
    for config in (dict(type='Digits'), dict(type='CustomDataset', data_prefix=str(folder))):
        plain, held = DATASETS.build(dict(config, pipeline=[])), in_memory(**config)
        assert data_digest(held)['digest'] == data_digest(plain)['digest']
        assert torch.equal(labels_of(held), labels_of(plain))
        for key, value in plain.get_data_info(3).items():
            assert np.array_equal(held.get_data_info(3)[key], value)


def test_images_of_files_are_rgb(folder):
    held = in_memory(type='CustomDataset', data_prefix=str(folder))
    assert held.images.shape == (6, 3, 8, 12) and held.images.dtype == torch.uint8
    for image, label in zip(held.images, held.labels):
        expected = torch.tensor(COLOURS[held.metainfo['classes'][label]])
        assert (image == expected[:, None, None]).all()


def test_a_subset_is_a_subset():
    whole, some = in_memory(type='Digits'), in_memory(type='Digits', indices=[5, 3, 11])
    assert torch.equal(some.images, whole.images[[5, 3, 11]])
    assert [x['data_samples'].sample_idx for x in (some[0], some[2])] == [0, 2]
    assert len(in_memory(type='Digits', indices=7)) == 7


def test_a_few_labels_are_those_of_a_data_set_with_few():
    few = DATASETS.build(dict(type='InMemory', labelled=5, dataset=dict(type='Digits')))
    other = in_memory(type='Digits', labelled=5)
    assert torch.equal(few.labels, other.labels) and (few.labels >= 0).sum() == 50
    assert asks_for_unlabelled(few) and not asks_for_unlabelled(in_memory(type='Digits'))


@pytest.mark.parametrize('workers', [0, 2])
def test_a_loader_gives_batches(workers):
    held = in_memory(type='Digits')
    loader = DataLoader(held, 100, shuffle=False, num_workers=workers, collate_fn=default_collate)
    batches = list(loader)
    assert torch.equal(torch.cat([x['inputs'] for x in batches]), held.images)
    samples = [y for x in batches for y in x['data_samples']]
    assert [x.sample_idx for x in samples] == list(range(1197))
    assert torch.equal(torch.cat([x.gt_label for x in samples]), held.labels)


def test_what_it_cannot_hold_is_refused(folder):
    with pytest.raises(UserError, match='expected a data set without a pipeline.*_delete_=True'):
        in_memory(type='Digits', pipeline=[dict(type='PackInputs')])
    Image.new('RGB', (12, 9)).save(folder / 'dog/2.png')
    expected = (
        r'one size and three channels, as image 0 of \(8, 12\) pixels, got image 5 of shape \(9, 12, 3\)'
    )
    with pytest.raises(UserError, match=expected):
        in_memory(type='CustomDataset', data_prefix=str(folder))
    (folder / 'cat/0.png').write_bytes(b'no image')
    with pytest.raises(UserError, match='cat/0.png: expected a whole image'):
        in_memory(type='CustomDataset', data_prefix=str(folder))


@pytest.mark.parametrize('name', ['cifar10_224', 'cifar100_224', 'tiny-imagenet_224'])
def test_the_two_forms_differ_only_in_how_views_are_made(name):
    plain = load_config(f'configs/_base_/datasets/{name}_per_image.py')
    fast = load_config(f'configs/_base_/datasets/{name}.py')
    for key in ('num_classes', 'mean', 'std'):
        assert fast.data_preprocessor[key] == plain.data_preprocessor[key]
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        one, other = plain[loader], fast[loader]
        assert other.dataset.type == 'InMemory'
        assert dict(other.dataset.dataset, pipeline=one.dataset.pipeline) == one.dataset
        assert {k: v for k, v in other.items() if k not in ('dataset', 'num_workers')} == {
            k: v for k, v in one.items() if k not in ('dataset', 'num_workers')
        }
    crop = plain.train_dataloader.dataset.pipeline[-2]['transforms'][0]['transforms'][0][0]
    assert fast.data_preprocessor.train_view == dict(type='BatchRandomResizedCrop', scale=crop['scale'])
    resize, cut = plain.test_dataloader.dataset.pipeline[-3:-1]
    assert fast.data_preprocessor.test_view == dict(
        type='BatchResizeCentreCrop', resize=resize['scale'], crop=cut['crop_size']
    )
    assert not fast.data_preprocessor.to_rgb


def test_images_of_files_are_held_once(folder, monkeypatch):
    infos = []
    read = LoadImage.transform
    monkeypatch.setattr(LoadImage, 'transform', lambda self, info: infos.append(info) or read(self, info))
    get = CustomDataset.get_data_info
    kept = []
    monkeypatch.setattr(CustomDataset, 'get_data_info', lambda self, i: kept.append(get(self, i)) or kept[-1])
    in_memory(type='CustomDataset', data_root=str(folder))
    assert len(kept) == len(infos) == 6 and not any('img' in x for x in kept)
