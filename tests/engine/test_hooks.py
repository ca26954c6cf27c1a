"""Hooks: bad losses, bad data, seeding."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.evaluation import Accuracy, MultiLabelMetric

from hetkd.engine import ClassCheckHook, EpochSeedHook, LossGuardHook
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
    with pytest.raises(FloatingPointError, match='loss_kd is .* at iteration 8'):
        hook.after_train_iter(runner_at(7), 7, outputs=terms)


def test_on_a_gpu_terms_are_read_rarely_and_the_first_bad_one_is_named(monkeypatch):
    """The device is played by pretending that no tensor is on the CPU."""
    hook = LossGuardHook(interval=4)
    looks = []
    monkeypatch.setattr(hook, '_look', lambda look=hook._look: looks.append(len(hook._kept)) or look())

    class Device(torch.Tensor):
        device = SimpleNamespace(type='cuda')

    stack = torch.stack
    monkeypatch.setattr(torch, 'stack', lambda x: stack(x).as_subclass(Device))
    value = {0: 1.0, 1: float('nan'), 2: float('nan')}
    for i in range(3):
        hook.after_train_iter(runner_at(i), i, outputs=dict(loss_ce=torch.tensor(value[i])))
    assert looks == []
    with pytest.raises(FloatingPointError, match='loss_ce is nan at iteration 2'):
        hook.before_save_checkpoint(runner_at(3), {})


def check(model, classes, **more):
    """Run the hook on training data of these classes, without validation."""
    dataset = SimpleNamespace(metainfo=dict(classes=classes))
    runner = dict(model=model, train_dataloader=SimpleNamespace(dataset=dataset), val_loop=None, cfg={})
    ClassCheckHook().before_train(
        SimpleNamespace(**{**runner, 'val_dataloader': runner['train_dataloader'], **more})
    )


def test_another_number_of_classes_in_the_data_is_refused():
    model = MODELS.build(dict(type='NetClassifier', student=micro_net('cnn')))
    with pytest.raises(ValueError, match='data: expected 10 classes as the nets have, got 3'):
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
    with pytest.raises(ValueError, match='data_preprocessor: expected 3 classes .* got 10; set'):
        run(10, (1,))
    with pytest.raises(ValueError, match='val_evaluator: expected a top-k of at most the 3 .* top-5'):
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
    with pytest.raises(ValueError, match="teacher: expected .*class 0 is 'a', not 'b'"):
        check(model, ['b', 'a', *names[2:]])


def digits(transforms):
    pipeline = [dict(type='RandomSeeded', transforms=transforms), dict(type='PackInputs')]
    return DATASETS.build(dict(type='Digits', pipeline=pipeline))


CROP = dict(type='RandomCrop', crop_size=8, padding=2)


def test_views_depend_on_seed_epoch_and_sample_alone():
    dataset = digits([CROP])
    wrapped = SimpleNamespace(dataset=dataset)

    def views(seed, epoch, order=(0, 1, 2)):
        loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=wrapped))
        EpochSeedHook().before_train_epoch(
            SimpleNamespace(seed=seed, epoch=epoch, train_loop=loop, model=None)
        )
        return {i: dataset[i]['inputs'] for i in order}

    first = views(0, 0)
    again = views(0, 0, order=(2, 0, 1))
    assert all(torch.equal(first[i], again[i]) for i in first)
    assert not all(torch.equal(first[i], views(0, 1)[i]) for i in first)
    assert not all(torch.equal(first[i], views(1, 0)[i]) for i in first)


def test_each_epoch_starts_from_its_own_random_state_whatever_came_before():
    """Dropout and mixup of a resumed epoch are those of the unbroken run."""
    import random

    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=digits([CROP])))

    def draws(epoch):
        EpochSeedHook().before_train_epoch(SimpleNamespace(seed=0, epoch=epoch, train_loop=loop, model=None))
        return torch.rand(1).item(), np.random.rand(), random.random()

    first, second = draws(0), draws(1)
    torch.rand(5), np.random.rand(3), random.random()
    assert draws(1) == second
    assert not set(first) & set(second)


def test_the_first_iteration_does_not_see_what_starting_the_workers_drew():
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=digits([CROP])))
    runner, hook = SimpleNamespace(seed=0, epoch=3, train_loop=loop, model=None), EpochSeedHook()

    def draw(before):
        hook.before_train_epoch(runner)
        torch.rand(before)
        hook.before_train_iter(runner, 0)
        first = torch.rand(1).item()
        hook.before_train_iter(runner, 1)
        return first, torch.rand(1).item()

    first, second = draw(0)
    assert draw(1) == (first, second) and first != second


def test_views_leave_the_random_state_alone():
    import random

    dataset = digits([CROP])
    dataset.pipeline.transforms[0].start_epoch(0, 0)
    draw = lambda: (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: E731
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    dataset[0]
    assert draw() == expected


def test_a_persistent_worker_learns_the_epoch():
    dataset = digits([CROP])
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=1, persistent_workers=True, sampler=[0]
    )
    transform = dataset.pipeline.transforms[0]
    seen = []
    for epoch in (0, 1, 0):
        transform.start_epoch(0, epoch)
        seen += [x['inputs'] for x in loader]
    assert torch.equal(seen[0], seen[2]) and not torch.equal(seen[0], seen[1])


def test_a_loop_without_epochs_is_refused_where_views_are_drawn_by_the_epoch():
    loader = dict(dataset=digits([CROP]), batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler'))
    loop = IterBasedTrainLoop(
        SimpleNamespace(visualizer=SimpleNamespace()), Runner.build_dataloader(loader), 4
    )
    with pytest.raises(ValueError, match='train_cfg: expected by_epoch=True.*IterBasedTrainLoop'):
        EpochSeedHook().before_run(SimpleNamespace(train_loop=loop, model=None))
    loop.dataloader.dataset.pipeline.transforms.pop(0)
    EpochSeedHook().before_run(SimpleNamespace(train_loop=loop, model=None))
    EpochSeedHook().before_run(SimpleNamespace(train_loop=None))
    view = dict(type='BatchRandomCrop', padding=1)
    for views, refused in ((dict(test_view=None), False), (dict(train_view=view), True)):
        model = SimpleNamespace(data_preprocessor=MODELS.build(dict(type='BatchViewPreprocessor', **views)))
        runner = SimpleNamespace(train_loop=loop, model=model)
        if refused:
            with pytest.raises(ValueError, match='BatchViewPreprocessor draws its views by the epoch'):
                EpochSeedHook().before_run(runner)
        else:
            EpochSeedHook().before_run(runner)


def test_seeded_transforms_without_the_hook_are_refused():
    transform = TRANSFORMS.build(dict(type='RandomSeeded', transforms=[CROP]))
    with pytest.raises(RuntimeError, match='EpochSeedHook'):
        transform(dict(sample_idx=0))
