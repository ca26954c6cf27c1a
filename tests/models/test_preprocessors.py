"""Data preprocessors."""

import random

import numpy as np
import pytest
import torch

from hetkd.clock import set_clock
from hetkd.models.preprocessors import SeededPreprocessor


def preprocessor(augment='Mixup'):
    return SeededPreprocessor(num_classes=10, batch_augments=dict(augments=[dict(type=augment, alpha=1.0)]))


def mixed(part, batch, training=True):
    inputs, samples = batch
    data = part(dict(inputs=inputs.clone(), data_samples=[x.clone() for x in samples]), training)
    labels = [x.gt_score for x in data['data_samples']] if training else []
    return torch.cat([data['inputs'].flatten(), *labels])


@pytest.mark.parametrize('augment', ['Mixup', 'CutMix'])
def test_a_batch_is_mixed_by_seed_epoch_and_its_first_image_alone(augment, batch):
    one, other = preprocessor(augment), preprocessor(augment)
    seen = {}
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        set_clock(seed, epoch)
        torch.rand(3), np.random.rand(2), random.random()  # what was drawn before does not matter
        seen[seed, epoch] = mixed(one, batch)
        assert torch.equal(mixed(one, batch), seen[seed, epoch])
    set_clock(0, 1)
    assert torch.equal(mixed(other, batch), seen[0, 1])
    assert not torch.equal(seen[0, 0], seen[0, 1]) and not torch.equal(seen[0, 0], seen[1, 0])
    inputs, samples = batch
    moved = [x.clone() for x in samples]
    moved[0].set_field(7, 'sample_idx', field_type='metainfo')
    set_clock(1, 0)
    assert not torch.equal(mixed(one, (inputs, moved)), seen[1, 0])


def test_the_random_state_is_left_alone_and_validation_mixes_nothing(batch):
    part = preprocessor()
    set_clock(0, 0)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    mixed(part, batch)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(mixed(part, batch, training=False), batch[0].flatten())


def test_without_an_epoch_it_mixes_as_mmpretrains(batch):
    part = preprocessor()
    seen = [mixed(part, batch) for _ in range(2)]
    assert not torch.equal(*seen)
