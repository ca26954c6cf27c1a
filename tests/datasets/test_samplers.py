"""Semi-supervised sampling: the share of labelled images in a batch."""

from collections import Counter
from itertools import islice

import pytest

from hetkd.datasets import SemiSupervisedSampler
from hetkd.engine import DistillRunner
from hetkd.engine.batches import starting_at
from hetkd.errors import UserError
from hetkd.registry import DATASETS

DIGITS = dict(type='Digits', per_class=20, labelled=2, pipeline=[])
LABELLED = 20


def sampler(share=0.25, config=DIGITS, **options):
    return SemiSupervisedSampler(DATASETS.build(config), share, seed=0, **options)


def is_labelled(sampler, place):
    return 'gt_label' in sampler.dataset.get_data_info(place)


@pytest.mark.parametrize('share', [0.1, 0.25, 0.3, 0.5, 0.9])
@pytest.mark.parametrize('size', [8, 10])
def test_each_batch_has_the_share_of_labelled_images(share, size):
    one = sampler(share)
    places = list(one)
    assert len(places) == len(one) == 200
    marks = [is_labelled(one, x) for x in places]
    for begin in range(0, 200 - size + 1, size):
        assert abs(sum(marks[begin : begin + size]) - share * size) < 1
    assert sum(marks) == 200 * share
    times = [Counter(x for x, y in zip(places, marks) if y is kind) for kind in (True, False)]
    for counts, images in zip(times, (LABELLED, 180)):
        drawn, all_of_them = sum(counts.values()), [counts[x] for x in counts] + [0] * (images - len(counts))
        assert set(all_of_them) <= {drawn // images, drawn // images + 1}, 'none again before all'


def test_the_order_depends_on_seed_and_epoch_alone():
    first, second = sampler(), sampler()
    assert list(first) == list(first) == list(second)
    second.set_epoch(1)
    epochs = list(first), list(second)
    assert epochs[0] != epochs[1]
    drawn = [{x for x in places if not is_labelled(first, x)} for places in epochs]
    assert drawn[0] != drawn[1] and len(drawn[0] | drawn[1]) > 160
    second.set_epoch(0)
    assert list(second) == epochs[0]


@pytest.mark.parametrize('processes', [2, 3])
def test_processes_share_out_the_images(processes, monkeypatch):
    parts = []
    for rank in range(processes):
        info = (rank, processes)
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda info=info: info)
        one = sampler()
        parts.append(list(one))
        marks = [is_labelled(one, x) for x in parts[-1]]
        assert len(one) == len(marks) == -(-200 // processes)
        assert all(abs(sum(marks[i : i + 8]) - 2) < 1 for i in range(len(marks) - 8))
    seen = Counter(x for part in parts for x in part)
    labelled = [seen[x] for x in range(200) if is_labelled(one, x)]
    assert max(labelled) - min(labelled) <= 1 and min(labelled) >= 2
    assert max(seen[x] for x in range(200) if not is_labelled(one, x)) == 1


def test_a_run_that_is_resumed_continues_in_the_middle_of_an_epoch():
    def loader():
        dataset = dict(DIGITS, pipeline=[dict(type='PackInputs')])
        kind = dict(type='SemiSupervisedSampler', labelled_share=0.25)
        config = dict(dataset=dataset, sampler=kind, batch_size=8, collate_fn=dict(type='default_collate'))
        return DistillRunner.build_dataloader(config, seed=3)

    def draws(batches):
        return [(x.sample_idx, x.get('draw')) for batch in batches for x in batch['data_samples']]

    whole, rest = loader(), loader()
    for one in (whole, rest):
        one.sampler.set_epoch(4)
    expected = draws(whole)
    assert len(expected) == 200 and any(draw for _, draw in expected), 'repeats are told apart'
    with starting_at(rest, 17):
        got = draws(islice(rest, 8))
    assert got == expected[17 * 8 :]


@pytest.mark.parametrize(
    'share, config, message',
    [
        (0.0, DIGITS, 'labelled_share: expected a number > 0 and < 1, got 0.0'),
        (1.0, DIGITS, 'labelled_share: expected a number > 0 and < 1, got 1.0'),
        (0.5, dict(DIGITS, labelled=None), 'expected labelled and unlabelled images, got 200 and 0'),
        (0.5, dict(DIGITS, labelled=0), 'expected labelled and unlabelled images, got 0 and 200'),
    ],
)
def test_what_it_cannot_do_is_refused(share, config, message):
    with pytest.raises(UserError, match=message):
        sampler(share, config)
