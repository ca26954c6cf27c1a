"""mmengine's loops and hooks as they are: SIGTERM, crash and resume in each; all runs are real."""

import json
import multiprocessing
import os
import signal
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from hetkd.registry import LOOPS

STEPS, EPOCHS = 4, 3


@LOOPS.register_module()
class OwnLoop(EpochBasedTrainLoop):
    """A user's loop, with its own ``run_epoch``."""

    def run_epoch(self):
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.own_epochs = getattr(self, 'own_epochs', 0) + 1
        for idx, data_batch in enumerate(self.dataloader):
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


LOOPS_OF_MMENGINE = dict(
    epoch=dict(by_epoch=True, max_epochs=EPOCHS, val_interval=1),
    iter=dict(by_epoch=False, max_iters=EPOCHS * STEPS, val_interval=STEPS),
    own=dict(type='OwnLoop', max_epochs=EPOCHS, val_interval=1),
)
CROP = dict(type='RandomSeeded', transforms=[dict(type='RandomCrop', crop_size=8, padding=2)])
PLATEAU = dict(type='ReduceOnPlateauLR', monitor='accuracy/top1', rule='greater', threshold=100, patience=0)
RESIZED = [CROP, dict(type='Resize', scale=16), dict(type='PackInputs')]
MIXUP = dict(augments=[dict(type='Mixup', alpha=1.0)])


def switch(loop):
    """mmpretrain counts epochs: an iteration-based run is in its first one."""
    recipe = dict(action_epoch=1 if loop == 'iter' else 2, train_pipeline=RESIZED, batch_augments=MIXUP)
    return dict(custom_hooks=[dict(type='SwitchRecipeHook', schedule=[recipe])])


# Hooks of mmengine and mmpretrain: options of a loop, and the step of the SIGTERM.
USERS_HOOKS = dict(
    none=(lambda loop: {}, 7),
    at_the_end_of_an_epoch=(lambda loop: {}, 8),
    switch_recipe=(switch, 6),
    # Early stopping keeps its count in no checkpoint: before the first validation.
    early_stopping=(
        lambda loop: dict(
            custom_hooks=[
                dict(type='EarlyStoppingHook', monitor='accuracy/top1', min_delta=100.0, patience=1)
            ]
        ),
        2,
    ),
    ema=(lambda loop: dict(custom_hooks=[dict(type='EMAHook', momentum=0.1)]), 7),
    plateau=(lambda loop: dict(param_scheduler=[PLATEAU]), 8),
)


class Terminate(Hook):
    """A signal within a step; two of SIGTERM, as from an impatient cluster."""

    def __init__(self, step, number=signal.SIGTERM, times=2):
        self.step, self.number, self.times = step, number, times

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


class Crash(Hook):
    """The first validation fails."""

    def before_val_epoch(self, runner):
        raise RuntimeError('the machine is gone')


class Numbers(Hook):
    """Steps and batch numbers that hooks see."""

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append((runner.iter, batch_idx))


@pytest.fixture
def build(runner_of):
    def make(loop, work_dir, workers=0, checkpoints=1000, **options):
        return runner_of(
            'kd',
            work_dir,
            train_cfg=dict(_delete_=True, **LOOPS_OF_MMENGINE[loop]),
            train_dataloader=dict(
                num_workers=workers, persistent_workers=workers > 0, dataset=dict(per_class=10)
            ),
            val_dataloader__dataset__per_class=10,
            default_hooks=dict(
                checkpoint=dict(interval=checkpoints, by_epoch=loop != 'iter', save_best=None),
                preflight=None,
                teacher_agreement=None,
            ),
            **{
                'optim_wrapper.optimizer': dict(_delete_=True, type='Adam', lr=1e-3),
                'param_scheduler': [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=9)],
                **options,
            },
        )

    return make


@pytest.fixture(scope='module')
def unbroken():
    """Outcomes of whole runs, by loop and options."""
    return {}


def outcome(runner):
    """All that a run leaves: losses, rates, validations, and weights with their average."""
    hub = runner.message_hub
    with open(f'{runner.work_dir}/results.json') as file:
        record = json.load(file)
    averages = [x.ema_model.state_dict() for x in runner.hooks if hasattr(x, 'ema_model')]
    weights = [runner.model.state_dict(), *averages]
    return SimpleNamespace(
        scalars={key: hub.get_scalar(f'train/{key}').data[0].tolist() for key in ('loss', 'lr')},
        metrics=record['metrics'],
        finished=record['finished'],
        weights=[{key: value.tolist() for key, value in x.items()} for x in weights],
        steps=runner.iter,
    )


def whole_run(unbroken, build, loop, tmp_path, options):
    key = loop, repr(options)
    if key not in unbroken:
        runner = build(loop, tmp_path / 'whole', **options)
        runner.train()
        unbroken[key] = outcome(runner)
    return unbroken[key]


@pytest.mark.parametrize('hook', USERS_HOOKS)
@pytest.mark.parametrize('loop', LOOPS_OF_MMENGINE)
def test_sigterm_in_any_loop_with_any_hook_loses_nothing(loop, hook, build, unbroken, tmp_path):
    make, step = USERS_HOOKS[hook]
    options = make(loop)
    before = signal.getsignal(signal.SIGTERM)
    whole = whole_run(unbroken, build, loop, tmp_path, options)
    broken = build(loop, tmp_path / 'broken', **options)
    broken.register_hook(Terminate(step))
    with pytest.raises(SystemExit) as end:
        broken.train()
    assert end.value.code == 143 and broken.iter == step - 1
    os.kill(os.getpid(), signal.SIGTERM)  # a launcher's second one does not end a process that leaves
    signal.signal(signal.SIGTERM, before)
    meta = torch.load(tmp_path / 'broken/terminated.pth', weights_only=False)['meta']
    assert meta['iter'] == step
    resumed = build(loop, tmp_path / 'broken', resume=True, **options)
    numbers = Numbers()
    resumed.register_hook(numbers)
    loaded = []
    dataset = resumed.train_loop.dataloader.dataset
    prepare = dataset.prepare_data
    dataset.prepare_data = lambda index: loaded.append(index) or prepare(index)
    resumed.train()
    assert outcome(resumed) == whole
    loaded.remove(0)  # InputCheckHook looks at one image
    # No batch is loaded or numbered twice.
    done = [*range(step, whole.steps)]
    assert numbers.seen == [(i, i if loop == 'iter' else i % STEPS) for i in done]
    assert len(loaded) == len(done) * resumed.train_loop.dataloader.batch_size
    # The hooks have done their work.
    if hook == 'early_stopping':
        assert whole.steps == 2 * STEPS
    if hook == 'plateau':
        assert whole.scalars['lr'][-1] < whole.scalars['lr'][0] / 5
    if hook == 'switch_recipe':
        assert 'padding=2' in repr(resumed.train_dataloader.dataset.pipeline)
    if loop == 'own':
        assert resumed.train_loop.own_epochs == whole.steps // STEPS - (step - 1) // STEPS


@pytest.mark.parametrize('number, status', [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_terminal_that_closes_or_ctrl_c_saves_as_well(number, status, build, tmp_path):
    runner = build('epoch', tmp_path)
    runner.register_hook(Terminate(3, number, times=1))
    with pytest.raises(SystemExit) as end:
        runner.train()
    assert end.value.code == status and (tmp_path / 'terminated.pth').exists()


def test_a_second_ctrl_c_ends_a_run_at_once(build, tmp_path):
    runner = build('epoch', tmp_path)
    runner.register_hook(Terminate(3, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert not (tmp_path / 'terminated.pth').exists()


@pytest.mark.parametrize('hook', ['none', 'plateau'])
@pytest.mark.parametrize('loop', LOOPS_OF_MMENGINE)
def test_a_validation_that_was_interrupted_is_repeated(loop, hook, build, unbroken, tmp_path):
    options = USERS_HOOKS[hook][0](loop)
    before = signal.getsignal(signal.SIGTERM)
    whole = whole_run(unbroken, build, loop, tmp_path, options)
    options |= dict(checkpoints=STEPS if loop == 'iter' else 1)
    broken = build(loop, tmp_path / 'broken', **options)
    broken.register_hook(Crash())
    with pytest.raises(RuntimeError, match='the machine is gone'):
        broken.train()
    assert signal.getsignal(signal.SIGTERM) is before, 'also after an error'
    resumed = build(loop, tmp_path / 'broken', resume=True, **options)
    resumed.train()
    assert outcome(resumed) == whole and len(whole.metrics) == EPOCHS


class Start(Hook):
    """Weights that do not depend on what the loop drew before: mmengine initialises them after it."""

    def before_train(self, runner):
        generator = torch.Generator().manual_seed(0)
        for parameter in runner.model.parameters():
            parameter.data = torch.empty_like(parameter).normal_(std=0.05, generator=generator)


@pytest.mark.parametrize('workers', [0, 2])
def test_a_run_of_iterations_is_the_run_of_epochs(workers, build, tmp_path):
    """Same batches, views and random numbers."""
    found = []
    for loop in ('epoch', 'iter'):
        runner = build(loop, tmp_path / loop, workers, **switch('iter'))
        runner.register_hook(Start())
        runner.train()
        found.append(outcome(runner))
    epochs, iterations = found
    assert epochs.scalars == iterations.scalars and epochs.weights == iterations.weights
    assert [*epochs.metrics.values()] == [*iterations.metrics.values()]


def test_an_endless_sampler_is_resumed_at_its_place(build, tmp_path):
    """Its views are those of the epoch, whatever the data workers have read ahead."""

    def run(name, workers=0, step=None, **more):
        sampler = dict(_delete_=True, type='InfiniteSampler', shuffle=True)
        runner = build('iter', tmp_path / name, workers, train_dataloader__sampler=sampler, **more)
        runner.register_hook(Terminate(step))
        with nullcontext() if step is None else pytest.raises(SystemExit):
            runner.train()
        return outcome(runner)

    whole = run('whole')
    assert run('workers', 2) == whole
    run('broken', step=2 * STEPS + 2)
    assert run('broken', resume=True) == whole


@pytest.mark.parametrize('loop', ['epoch', 'iter'])
def test_workers_end_with_the_run(loop, build, tmp_path):
    run = build(loop, tmp_path / loop, workers=2)
    run.train()
    assert not multiprocessing.active_children(), 'the garbage collector would wait 5 s for each'
