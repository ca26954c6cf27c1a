"""The lines of a run: what is trained by what, and an epoch a line."""

import re
from pathlib import Path

import pytest


def lines_of(runner):
    (log,) = Path(runner.work_dir).glob('*/*.log')
    return [x.partition(' - INFO - ')[2] for x in log.read_text().splitlines()]


def test_a_run_of_iterations_has_a_line_each_interval(runner_of):
    runner = runner_of(
        'scratch', train_cfg=dict(by_epoch=False, max_epochs=None, max_iters=3, val_interval=2)
    )
    runner.train()
    lines = lines_of(runner)
    assert 'NetClassifier: ResNet_CIFAR (16x16 px) learns from labels alone' in lines
    assert '3 steps, each of 25 images' in lines
    found = [x for x in lines if re.match(r'iteration \d/3 .* loss: ', x)]
    assert [x[:13] for x in found] == ['iteration 2/3', 'iteration 3/3']
    assert [' accuracy/top1: ' in x for x in found] == [True, True]


def test_a_line_follows_an_interval_that_changes(runner_of):
    loop = dict(by_epoch=False, max_epochs=None, max_iters=4, val_interval=4, dynamic_intervals=[(2, 1)])
    runner = runner_of('scratch', train_cfg=loop)
    runner.train()
    found = [x for x in lines_of(runner) if re.match('(iteration|validation) .*accuracy/top1: ', x)]
    # The loop changes the interval after the hooks have had the step.
    assert [x[:10] for x in found] == ['validation', 'iteration ', 'iteration ', 'iteration ']


def test_a_step_has_the_images_of_all_processes(runner_of, monkeypatch):
    runner = runner_of('scratch', train_cfg=dict(by_epoch=True, max_epochs=1, val_interval=1))
    monkeypatch.setattr('hetkd.engine.hooks.summary.get_world_size', lambda: 8)
    runner.train()
    assert '1 epochs of 2 steps, each of 8 x 25 images' in lines_of(runner)


def test_a_line_has_the_means_of_its_epoch_and_the_metrics_where_it_was_validated(runner_of):
    runner = runner_of('scratch', train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=2))
    runner.train()
    found = [x for x in lines_of(runner) if re.match(r'epoch \d/3', x)]
    assert [' accuracy/top1: ' in x for x in found] == [False, True, True]
    losses, _ = runner.message_hub.get_scalar('train/loss').data
    means = [sum(losses[i : i + 2]) / 2 for i in (0, 2, 4)]
    assert [float(re.search(r' loss: ([\d.]+)', x)[1]) for x in found] == pytest.approx(means, rel=1e-3)
