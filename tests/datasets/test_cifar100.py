"""Real CIFAR-100, if it is available."""

import os

import numpy as np
import pytest
from mmengine.dataset import default_collate

from hetkd.apis import load_config
from hetkd.clock import set_clock
from hetkd.registry import DATASETS, MODELS

ROOT = os.environ.get('HETKD_CIFAR100', 'data/cifar100')
needs_data = pytest.mark.skipif(
    not os.path.isdir(os.path.join(ROOT, 'cifar-100-python')),
    reason='no CIFAR-100: set HETKD_CIFAR100 to the folder that holds cifar-100-python',
)


@pytest.mark.data
@needs_data
def test_statistics_and_sizes_of_the_real_images():
    train = DATASETS.build(dict(type='CIFAR100', data_root=ROOT, split='train', pipeline=[], download=False))
    test = DATASETS.build(dict(type='CIFAR100', data_root=ROOT, split='test', pipeline=[], download=False))
    assert (len(train), len(test), len(train.metainfo['classes'])) == (50_000, 10_000, 100)
    images = np.stack([train.get_data_info(i)['img'] for i in range(50_000)])
    assert images.mean((0, 1, 2)) / 255 == pytest.approx([0.5071, 0.4865, 0.4409], abs=1e-3)
    assert images.std((0, 1, 2)) / 255 == pytest.approx([0.2673, 0.2564, 0.2762], abs=1e-3)


@pytest.mark.data
@needs_data
@pytest.mark.parametrize(
    'name, size',
    [
        ('_base_/datasets/cifar100_224_per_image', 224),
        ('teachers/swin-t_cifar100', 224),
    ],
)
def test_pipelines_give_images_of_their_size(name, size):
    set_clock(0, 0)
    cfg = load_config(f'configs/{name}.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        dataset = DATASETS.build(dict(loader.dataset, data_root=ROOT, download=False))
        sample = dataset[0]
        assert tuple(sample['inputs'].shape) == (3, size, size)
        assert 0 <= int(sample['data_samples'].gt_label) < 100


@pytest.mark.data
@needs_data
def test_both_forms_test_on_the_same_images():
    """They differ by at most half a level of rounding, divided by the standard deviations of about 66."""
    inputs = []
    for form in ('_per_image', ''):
        cfg = load_config(f'configs/_base_/datasets/cifar100_224{form}.py')
        config = cfg.val_dataloader.dataset
        inner = config if form else config.dataset
        inner.update(data_root=ROOT, download=False, indices=50)
        dataset = DATASETS.build(config)
        preprocessor = MODELS.build({'type': 'SeededPreprocessor', **cfg.data_preprocessor})
        inputs.append(preprocessor(default_collate([dataset[i] for i in range(50)]), False)['inputs'])
    assert inputs[0].shape == (50, 3, 224, 224)
    assert (inputs[0] - inputs[1]).abs().max() < 1.6 / 65
