"""Hooks: bad losses, bad data, seeding."""

import random
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmpretrain.evaluation import Accuracy, MultiLabelMetric

from hetkd.clock import own_clock, set_clock
from hetkd.engine import ClassCheckHook, EpochSeedHook, InterruptHook, LossGuardHook
from hetkd.engine.data_workers import shield
from hetkd.errors import UserError
from hetkd.registry import DATASETS, MODELS, TRANSFORMS
from hetkd.testing import micro_net


def runner_at(iteration, **more):
    return SimpleNamespace(iter=iteration, **more)


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf')])
def test_a_bad_term_is_named_with_its_iteration(bad):
    hook = LossGuardHook()
    terms = dict(loss_ce=torch.tensor(1.0), loss_kd=torch.tensor(bad), loss=torch.tensor(bad))
    hook.after_train_iter(
        runner_at(0), 0, outputs=dict(terms, loss_kd=torch.tensor(1.0), loss=torch.tensor(2.0))
    )
    with pytest.raises(UserError, match='loss_kd: expected a finite number, got .* at iteration 8'):
        hook.after_train_iter(runner_at(7), 7, outputs=terms)


def test_a_sum_is_named_where_no_term_is_bad_or_there_is_none():
    """Of mmpretrain's classifiers it is the only one."""
    for terms in (dict(loss=float('nan')), dict(loss_a=3e38, loss_b=3e38, loss=float('inf'))):
        with pytest.raises(UserError, match='^loss: expected a finite number'):
            terms = {key: torch.tensor(x) for key, x in terms.items()}
            LossGuardHook().after_train_iter(runner_at(0), 0, outputs=terms)


def test_on_a_gpu_terms_are_read_rarely_and_the_first_bad_one_is_named(monkeypatch):
    """The device is played by pretending that no tensor is on the CPU."""
    hook = LossGuardHook(interval=4)
    looks = []
    monkeypatch.setattr(hook, '_look', lambda look=hook._look: looks.append(len(hook._kept)) or look())

    class Device(torch.Tensor):
        is_cpu = False

    value = {0: 1.0, 1: float('nan'), 2: float('nan')}
    for i in range(3):
        loss = torch.tensor(value[i]).as_subclass(Device)
        hook.after_train_iter(runner_at(i), i, outputs=dict(loss_ce=loss))
    assert looks == []
    with pytest.raises(UserError, match='loss_ce: expected a finite number, got nan at iteration 2'):
        hook.before_save_checkpoint(runner_at(3), {})


def test_a_signal_that_comes_while_the_processes_agree_is_not_lost(monkeypatch):
    hook, left = InterruptHook(), []
    hook._group, hook._asked, hook._stops = 'processes', 0, False
    monkeypatch.setattr(hook, '_leave', lambda runner, done: left.append(done))
    comes = iter([signal.SIGTERM])
    monkeypatch.setattr(
        torch.distributed, 'all_reduce', lambda *args, **kwargs: [hook._note(x, None) for x in comes]
    )
    for i in range(20):
        hook.after_train_iter(runner_at(i, optim_wrapper=None), i)
    assert left == [20] and hook._asked == signal.SIGTERM


def check(model, classes, **more):
    """Run the hook on training data of these classes, without validation."""
    dataset = SimpleNamespace(metainfo=dict(classes=classes))
    runner = dict(model=model, train_dataloader=SimpleNamespace(dataset=dataset), val_loop=None, cfg={})
    ClassCheckHook().before_train(
        SimpleNamespace(**{**runner, 'val_dataloader': runner['train_dataloader'], **more})
    )


def test_another_number_of_classes_in_the_data_is_refused():
    model = MODELS.build(dict(type='NetClassifier', student=micro_net('cnn')))
    with pytest.raises(UserError, match='data: expected 10 classes as the nets have, got 3'):
        check(model, 'abc')


def test_a_preprocessor_or_a_metric_that_counts_other_classes_is_refused():
    def run(mixed, top):
        preprocessor = dict(num_classes=mixed)
        model = MODELS.build(
            dict(type='NetClassifier', student=micro_net('cnn', 3), data_preprocessor=preprocessor)
        )
        evaluator = SimpleNamespace(metrics=[Accuracy(topk=top), MultiLabelMetric(topk=5)])
        check(model, 'abc', val_loop=1, val_evaluator=evaluator)

    run(3, (1, 3))
    run(None, (1,))
    with pytest.raises(UserError, match='data_preprocessor: expected 3 classes .* got 10; set'):
        run(10, (1,))
    with pytest.raises(UserError, match='val_evaluator: expected a top-k of at most the 3 .* top-5'):
        run(3, (1, 5))


def test_a_teacher_of_another_class_order_is_refused(tmp_path):
    path = str(tmp_path / 'x.pth')
    names = list('abcdefghij')
    state = MODELS.build(micro_net('cnn')).model.state_dict()
    torch.save(dict(state_dict=state, meta=dict(dataset_meta=dict(classes=names))), path)
    model = MODELS.build(
        dict(type='LogitDistiller', teacher=micro_net('cnn', checkpoint=path), student=micro_net('cnn'))
    )
    check(model, tuple(names))
    with pytest.raises(UserError, match="teacher: expected .*class 0 is 'a', not 'b'"):
        check(model, ['b', 'a', *names[2:]])


def digits(transforms):
    pipeline = [dict(type='RandomSeeded', transforms=transforms), dict(type='PackInputs')]
    return DATASETS.build(dict(type='Digits', pipeline=pipeline))


CROP = dict(type='RandomCrop', crop_size=8, padding=2)


def at(epoch, seed=0, step=0):
    """A runner at a step of an epoch of nine."""
    loop = SimpleNamespace(dataloader=range(9))
    return SimpleNamespace(seed=seed, epoch=epoch, iter=9 * epoch + step, train_loop=loop)


def test_views_depend_on_seed_epoch_and_sample_alone():
    dataset = digits([CROP])

    def views(seed, epoch, order=(0, 1, 2)):
        EpochSeedHook().before_train_epoch(at(epoch, seed))
        return {i: dataset[i]['inputs'] for i in order}

    first = views(0, 0)
    again = views(0, 0, order=(2, 0, 1))
    assert all(torch.equal(first[i], again[i]) for i in first)
    assert not all(torch.equal(first[i], views(0, 1)[i]) for i in first)
    assert not all(torch.equal(first[i], views(1, 0)[i]) for i in first)


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_each_epoch_starts_from_its_own_random_state_whatever_came_before():
    """Dropout and mixup of a resumed epoch are those of the unbroken run."""

    def draws(epoch):
        EpochSeedHook().before_train_epoch(at(epoch))
        return draw()

    first, second = draws(0), draws(1)
    torch.rand(5), np.random.rand(3), random.random()
    assert draws(1) == second
    assert not set(first) & set(second)


def test_the_first_iteration_does_not_see_what_starting_the_workers_drew():
    hook = EpochSeedHook()

    def draws(before):
        hook.before_train_epoch(at(3))
        torch.rand(before)
        hook.before_train_iter(at(3), 0)
        first = torch.rand(1).item()
        hook.before_train_iter(at(3, step=1), 1)
        return first, torch.rand(1).item()

    first, second = draws(0)
    assert draws(1) == (first, second) and first != second


def test_a_step_is_seeded_as_torch_manual_seed_would_seed_it():
    hook = EpochSeedHook()
    hook.before_train_epoch(at(2, seed=5))
    hook.before_train_iter(at(2, seed=5, step=4), 4)
    seen = draw()
    seed = int(np.random.SeedSequence((5, 0, 2)).generate_state(9)[4])
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    assert seen == draw()


def test_views_leave_the_random_state_alone():
    dataset = digits([CROP])
    set_clock(0, 0)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    dataset[0]
    assert draw() == expected


@pytest.mark.parametrize('start', ['fork', 'spawn'])
def test_a_persistent_worker_learns_the_epoch(start):
    loader = torch.utils.data.DataLoader(
        digits([CROP]),
        batch_size=None,
        num_workers=1,
        persistent_workers=True,
        sampler=[0],
        multiprocessing_context=start,
    )
    shield(loader)
    seen = []
    for epoch in (0, 1, 0):
        set_clock(0, epoch)
        seen += [x['inputs'] for x in loader]
    assert torch.equal(seen[0], seen[2]) and not torch.equal(seen[0], seen[1])


def test_seeded_transforms_without_the_hook_are_refused():
    transform = TRANSFORMS.build(dict(type='RandomSeeded', transforms=[CROP]))
    with pytest.raises(UserError, match='EpochSeedHook'):
        transform(dict(sample_idx=0))
    with own_clock():
        set_clock(0, 0)
    with pytest.raises(UserError, match='EpochSeedHook'):
        transform(dict(sample_idx=0))
