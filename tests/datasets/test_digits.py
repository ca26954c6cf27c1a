"""The digits data set."""

import numpy as np
import pytest

from hetkd.errors import UserError
from hetkd.registry import DATASETS


def digits(**options):
    return DATASETS.build(dict(type='Digits', pipeline=[], **options))


def test_train_and_test_are_disjoint_real_images():
    train, test = digits(split='train'), digits(split='test')
    assert (len(train), len(test)) == (1197, 600)
    images = {x['img'].tobytes() for x in map(train.get_data_info, range(len(train)))}
    assert not any(test.get_data_info(i)['img'].tobytes() in images for i in range(len(test)))
    first = train.get_data_info(0)['img']
    assert first.shape == (8, 8, 3) and first.dtype == np.uint8 and first.max() > 200


def test_few_labels_are_balanced_and_always_the_same():
    few = digits(per_class=10)
    assert len(few) == 100
    assert np.bincount([few.get_data_info(i)['gt_label'] for i in range(100)]).tolist() == [10] * 10
    again = digits(per_class=10)
    assert all(np.array_equal(few.get_data_info(i)['img'], again.get_data_info(i)['img']) for i in range(100))


def test_an_unknown_split_is_refused():
    with pytest.raises(UserError, match="split: expected 'train' or 'test', got 'val'"):
        digits(split='val')
