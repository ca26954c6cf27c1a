"""Which failures of a data set are called absent files."""

import pytest

from hetkd.engine import DistillRunner
from hetkd.errors import UserError


def loader(**dataset):
    return dict(
        batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dataset
    )


CIFAR = dict(type='CIFAR100', download=False, split='train')


@pytest.mark.parametrize(
    'dataset',
    [
        dict(CIFAR, data_root='{root}'),
        dict(CIFAR, data_prefix='{root}'),
        dict(type='RepeatDataset', times=2, dataset=dict(CIFAR, data_root='{root}')),
        dict(type='CustomDataset', data_root='{root}', with_label=True),
        dict(type='CustomDataset', data_root='{root}', data_prefix=dict(img_path='a'), ann_file='b.txt'),
    ],
)
def test_absent_files_are_named_with_their_folder(dataset, tmp_path):
    root = str(tmp_path / 'none')

    def fill(value):
        if isinstance(value, dict):
            return {key: fill(x) for key, x in value.items()}
        return root if value == '{root}' else value

    with pytest.raises(UserError, match=f'expected its files in {root}, got .*Error: .*fetch_data.py'):
        DistillRunner.build_dataloader(loader(**fill(dataset)))


def test_the_part_of_several_data_sets_that_is_absent_is_named(tmp_path):
    parts = [dict(type='Digits'), dict(CIFAR, data_root=str(tmp_path / 'none'))]
    dataset = dict(type='ConcatDataset', datasets=parts)
    words = f'data set CIFAR100: expected its files in {tmp_path}/none.*dataset.datasets.1.data_root=PATH'
    with pytest.raises(UserError, match=words):
        DistillRunner.build_dataloader(loader(**dataset))


def test_another_failure_keeps_its_own_message():
    pipeline = [dict(type='RandomFlip', prob=2.0)]
    with pytest.raises(AssertionError):
        DistillRunner.build_dataloader(loader(type='Digits', pipeline=pipeline))
