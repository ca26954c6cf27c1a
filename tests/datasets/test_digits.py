"""The digits data set."""

import numpy as np
import pytest

from hetkd.datasets import asks_for_unlabelled
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


@pytest.mark.parametrize('held', [False, True])
def test_few_labels_leave_the_other_images_unlabelled(held):
    few, everything = digits(labelled=5), digits()
    if held:
        few = DATASETS.build(dict(type='InMemory', dataset=dict(type='Digits', labelled=5)))
    kept = [i for i in range(1197) if 'gt_label' in few.get_data_info(i)]
    known = [everything.get_data_info(i)['gt_label'] for i in range(1197)]
    assert len(few) == 1197 and kept == sorted(
        i for c in range(10) for i in np.flatnonzero(np.equal(known, c))[:5]
    )
    for i in range(1197):
        one, other = few.get_data_info(i), everything.get_data_info(i)
        assert np.array_equal(one['img'], other['img']) and one.get('gt_label', known[i]) == known[i]
        assert few.get_cat_ids(i) == ([known[i]] if i in kept else [])
    assert asks_for_unlabelled(few) and not asks_for_unlabelled(everything)
    if held:
        assert all(('gt_label' in few[i]['data_samples']) == (i in kept) for i in range(100))


def test_an_unknown_split_is_refused():
    with pytest.raises(UserError, match="split: expected 'train' or 'test', got 'val'"):
        digits(split='val')
