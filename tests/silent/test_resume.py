"""Resume and work dirs: changed settings, state of hooks, damaged files, two runs in one folder."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook, ParamSchedulerHook
from mmengine.optim import OptimWrapperDict, build_optim_wrapper

from hetkd.apis import load_config
from hetkd.engine import latest_checkpoint
from hetkd.engine.batches import sampler_of
from hetkd.engine.made_of import WATCHING
from hetkd.engine.work_dir import claimed
from hetkd.errors import UserError
from hetkd.models import NetClassifier
from hetkd.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from tests.conftest import ROOT
from tests.engine.conftest import runner_of  # noqa: F401

STEPS = 10  # of an epoch: 80 images, batches of 8


class Stop(Hook):
    """SIGTERM within a step, or an error in a validation."""

    def __init__(self, step=None, validation=None):
        self.step, self.validation = step, validation

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), signal.SIGTERM)

    def before_val_epoch(self, runner):
        if runner.epoch == self.validation:
            raise KeyboardInterrupt


class Watch(Hook):
    """Rates of each step, and numbers of the images seen."""

    priority = 'VERY_HIGH'

    def __init__(self):
        self.rates, self.images = {}, []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        group = runner.optim_wrapper.param_groups[0]
        self.rates[runner.iter] = group['lr'], group['weight_decay']
        self.images += [(runner.epoch, x.sample_idx) for x in data_batch['data_samples']]


class Score(Hook):
    """Fixed accuracies of the validations."""

    priority = 'HIGHEST'

    def __init__(self, *scores):
        self.scores = scores

    def after_val_epoch(self, runner, metrics=None):
        metrics['accuracy/top1'] = float(self.scores[runner.epoch - 1])


def options(**more):
    return {
        'train_cfg.max_epochs': 3,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'train_dataloader.batch_size': 8,
        'train_dataloader.dataset.per_class': 8,
        'val_dataloader.num_workers': 0,
        'val_dataloader.persistent_workers': False,
        'val_dataloader.dataset.per_class': 2,
        'optim_wrapper.optimizer': dict(_delete_=True, type='SGD', lr=0.01, momentum=0.9, weight_decay=0.01),
        'param_scheduler': [dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True)],
        'default_hooks.checkpoint': dict(interval=1, save_best=None, max_keep_ckpts=-1),
        **{key.replace('__', '.'): x for key, x in more.items()},
    }


@pytest.fixture
def build(runner_of, tmp_path):  # noqa: F811
    """``build(method, folder, *hooks, apply=..., **options)``."""

    def make(method='scratch', folder='run', *hooks, apply=None, **more):
        given = options(**more)
        if apply is not None:
            given['resume_options'] = dict(apply_changes=apply)
        runner = runner_of(method, tmp_path / folder, resume=apply is not None, **given)
        for hook in hooks:
            runner.register_hook(hook)
        return runner

    return make


@pytest.fixture(scope='module')
def stopped(tmp_path_factory):
    """Work dirs of runs that were stopped in their second validation, by method."""
    return {'place': tmp_path_factory.mktemp('stopped')}


@pytest.fixture
def begun(build, stopped, tmp_path):
    """Put a copy of such a work dir in place."""

    def make(method='scratch', folder='run'):
        kept = stopped['place'] / method
        if not kept.exists():
            with pytest.raises(KeyboardInterrupt):
                build(method, 'first', Stop(validation=2)).train()
            shutil.move(tmp_path / 'first', kept)
        shutil.copytree(kept, tmp_path / folder)

    return make


def record(folder):
    return json.loads((folder / 'results.json').read_text())


CROP = [dict(type='RandomCrop', crop_size=8, padding=1), dict(type='PackInputs')]
CHANGES = dict(
    lr=('scratch', dict(optim_wrapper__optimizer__lr=0.001), 'optim_wrapper.optimizer.lr: 0.01 -> 0.001'),
    weight_decay=('scratch', dict(optim_wrapper__optimizer__weight_decay=0.1), 'weight_decay: 0.01 -> 0.1'),
    schedule=(
        'scratch', dict(param_scheduler=[dict(type='MultiStepLR', milestones=[2])]), 'milestones: None -> [2]'
    ),
    epochs=('scratch', dict(train_cfg__max_epochs=6), 'train_cfg.max_epochs: 3 -> 6'),
    batch=('scratch', dict(train_dataloader__batch_size=13), 'batch_size: 8 -> 13'),
    data=('scratch', dict(train_dataloader__dataset__per_class=10), 'data.images: 80 -> 100'),
    augmentation=('scratch', dict(train_dataloader__dataset__pipeline=CROP), 'dataset.pipeline'),
    clip=('scratch', dict(optim_wrapper__clip_grad=dict(max_norm=5)), 'clip_grad.max_norm: None -> 5'),
    model=('kd', dict(model__losses=[dict(type='KDLoss', temperature=4.0)]), 'temperature: 1.0 -> 4.0'),
    teacher=('kd', dict(model__teacher__checkpoint='other.pth'), 'teachers.0.digest: '),
)  # fmt: skip


@pytest.mark.parametrize('name', CHANGES)
def test_a_change_is_refused_by_name_and_applied_by_the_flag(name, build, begun, tmp_path, tiny_teacher):
    method, change, said = CHANGES[name]
    if name == 'teacher':
        weights = torch.load(tiny_teacher, weights_only=True)
        torch.save({key: 1.01 * x for key, x in weights.items()}, tmp_path / 'other.pth')
        change = dict(model__teacher__checkpoint=str(tmp_path / 'other.pth'))
    begun(method)
    before = {x.name: x.read_bytes() for x in (tmp_path / 'run').iterdir() if x.suffix in ('.pth', '.json')}
    with pytest.raises(UserError, match='(?s)expected the run of .* as it was.*--apply-changes') as error:
        build(method, apply=False, **change).train()
    assert said in str(error.value)
    after = {x: (tmp_path / 'run' / x).read_bytes() for x in before}
    assert after == before, 'nothing is written'
    runner = build(method, 'run', watch := Watch(), apply=True, **change)
    runner.train()
    found = record(tmp_path / 'run')
    assert found['finished'] and min(watch.rates) == 2 * len(runner.train_dataloader)
    (entry,) = found['changes']
    assert entry['after']['epoch'] == 2 and any(said.split(':')[0] in key for key in entry['changed'])


SAME = dict(
    default_hooks__logger__interval=1,
    default_hooks__checkpoint__interval=3,
    default_hooks__waiting__end_after=3600,
    train_dataloader__num_workers=1,
    val_dataloader__batch_size=5,
    log_level='ERROR',
)


def test_what_does_not_change_results_is_no_change(build, begun, tmp_path, tiny_teacher):
    shutil.copy(tiny_teacher, tmp_path / 'moved.pth')
    begun('kd')
    build('kd', apply=False, **SAME, model__teacher__checkpoint=str(tmp_path / 'moved.pth')).train()
    assert record(tmp_path / 'run')['finished'] and record(tmp_path / 'run')['changes'] == []


def test_each_default_hook_acts_on_the_training_or_watches():
    cfg = load_config(ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py')
    acting = {'param_scheduler', 'sampler_seed', 'epoch_seed', 'sync_buffers'}
    assert set(cfg.default_hooks) == acting | (WATCHING - {'runtime_info'})


WARM_UP = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=15),
    dict(type='MultiStepLR', milestones=[1], by_epoch=True),
]
RATES = dict(
    lr=dict(optim_wrapper__optimizer__lr=0.001),
    weight_decay=dict(optim_wrapper__optimizer__weight_decay=0.5),
    stretched=dict(train_cfg__max_epochs=4),
    warm_up=dict(param_scheduler=WARM_UP, optim_wrapper__optimizer__lr=0.002),
    by_epoch=dict(param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=True)]),
)


@pytest.mark.parametrize('name', RATES)
def test_changed_rates_are_those_of_an_unbroken_run_from_there_on(name, build, begun):
    whole, rest = Watch(), Watch()
    build('scratch', 'whole', whole, **RATES[name]).train()
    begun()
    build('scratch', 'run', rest, apply=True, **RATES[name]).train()
    expected = {step: x for step, x in whole.rates.items() if step >= 2 * STEPS}
    assert rest.rates.keys() == expected.keys()
    for step, values in expected.items():
        assert rest.rates[step] == pytest.approx(values, rel=1e-12), step


def test_the_loss_guards_advice_works(build, begun):
    begun()
    diverging = dict(optim_wrapper__optimizer__lr=1e30)
    with pytest.raises(UserError, match='--resume --apply-changes --cfg-options optim_wrapper.op'):
        build(apply=True, **diverging).train()
    build(apply=True, optim_wrapper__optimizer__lr=1e-4).train()


@pytest.mark.parametrize('batch, again', [(13, True), (8, False)])
def test_a_larger_batch_skips_no_image(batch, again, build, tmp_path):
    with pytest.raises(SystemExit):
        build('scratch', 'run', Stop(step=5)).train()
    watch = Watch()
    build('scratch', 'run', watch, apply=True, train_dataloader__batch_size=batch).train()
    seen = [image for epoch, image in watch.images if epoch == 0]
    assert len(seen) == len(set(seen)) and len(seen) == (78 if again else 40)


def test_the_seed_cannot_change_and_a_drawn_one_stays(build, begun, tmp_path):
    begun()
    with pytest.raises(UserError, match=r'randomness.seed: 0 -> 1 \(cannot be applied'):
        build(apply=True, randomness__seed=1).train()
    with pytest.raises(SystemExit):
        build('scratch', 'drawn', Watch(), Stop(step=5), randomness__seed=None).train()
    build('scratch', 'drawn', watch := Watch(), apply=False, randomness__seed=None).train()
    seen = [image for epoch, image in watch.images if epoch == 0]  # its state is resumed
    assert sorted(seen) == list(range(80))


def test_a_drawn_seed_stays_with_a_sampler_of_any_kind(build, tmp_path):
    seeds = []

    class Seed(Watch):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            super().before_train_iter(runner, batch_idx, data_batch)
            seeds.append(sampler_of(runner.train_dataloader).seed)

    more = dict(randomness__seed=None, train_dataloader__sampler=dict(type='RepeatAugSampler', shuffle=True))
    with pytest.raises(SystemExit):
        build('scratch', 'drawn', Stop(step=5), Seed(), **more).train()
    build('scratch', 'drawn', Seed(), apply=False, **more).train()
    assert len(seeds) > 5 and len(set(seeds)) == 1


def test_the_config_that_a_resumed_run_leaves_resumes_nothing(build, begun, tmp_path):
    begun()
    runner = build(apply=False)
    # As tools/train.py --resume has them.
    runner.cfg.update(resume=True, load_from='epoch_1.pth', resume_options=dict(load_from='start.pth'))
    runner.train()
    left = Config.fromfile(next((tmp_path / 'run').glob('*.py')))
    assert (left.resume, left.load_from, 'resume_options' in left) == (False, 'start.pth', False)


WIDER = {
    f'model.student.model.{key}': x
    for key, x in {
        'backbone.stem_channels': 16,
        'backbone.base_channels': 16,
        'head.in_channels': 128,
    }.items()
}


@pytest.mark.parametrize(
    'more, said',
    [
        (dict(optim_wrapper__optimizer=dict(_delete_=True, type='AdamW')), r'type: .* \(cannot be applied'),
        (dict(train_cfg__max_epochs=1), 'expected to end after 2'),
        (WIDER, 'got another in'),
    ],
)
def test_what_cannot_be_applied_is_refused_with_the_flag(more, said, build, begun):
    begun()
    with pytest.raises(UserError, match=said):
        build(apply=True, **more).train()


# -- State of hooks

EARLY = [dict(type='EarlyStoppingHook', monitor='accuracy/top1', min_delta=0.1, patience=3)]
SCORES = 50, 40, 40, 40, 40, 40


class Count(Hook):
    """A user's hook with plain state, which begins anew in ``before_train``."""

    priority = 'NORMAL'

    def before_train(self, runner):
        self.validations, self.seen = 0, {}

    def after_val_epoch(self, runner, metrics=None):
        self.validations += 1
        self.seen[str(runner.epoch)] = metrics['accuracy/top1']


class Counting(ParamSchedulerHook):
    """A user's hook over one of mmengine's, with a tensor and an array."""

    def __init__(self):
        self.steps, self.total, self.ones = 0, torch.zeros(2), np.zeros(3)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.steps, self.total, self.ones = self.steps + 1, self.total + 0.5, self.ones + 1


class TwoOptimizers:
    """A constructor of a user: the body and the head have one each."""

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        self.options = optim_wrapper_cfg

    def __call__(self, model):
        parts = dict(body=model.student.model.backbone, head=model.student.model.head)
        return OptimWrapperDict(
            **{key: build_optim_wrapper(x, dict(self.options[key])) for key, x in parts.items()}
        )


class StepsTwice(NetClassifier):
    def train_step(self, data, optim_wrapper):
        data = self.data_preprocessor(data, True)
        loss, logged = self.parse_losses(self(**data, mode='loss'))
        optim_wrapper.zero_grad()
        loss.backward()
        for one in optim_wrapper.values():
            one.optimizer.step()
        return logged


def test_a_run_with_two_optimizers_resumes_to_the_same(build, tmp_path, monkeypatch):
    monkeypatch.setitem(OPTIM_WRAPPER_CONSTRUCTORS.module_dict, 'TwoOptimizers', TwoOptimizers)
    monkeypatch.setitem(MODELS.module_dict, 'StepsTwice', StepsTwice)
    one = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
    two = dict(constructor='TwoOptimizers', _delete_=True, body=one, head=one)
    more = dict(model__type='StepsTwice', optim_wrapper=two, custom_hooks=[dict(type='StudentEMAHook')])
    del_optimizer = {'optim_wrapper.optimizer': None}

    def run(*hooks, **options):
        runner = build('scratch', *hooks, **more, **options, **del_optimizer)
        return runner

    whole = run('whole')
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        run('broken', Stop(validation=2)).train()
    resumed = run('broken', apply=False)
    resumed.train()
    for mine, other in zip(whole.model.parameters(), resumed.model.parameters()):
        assert torch.equal(mine, other)


def test_tensors_and_arrays_of_a_hook_over_one_of_mmengines_go_on(build, tmp_path):
    def run(folder, *hooks, apply=None):
        counting = Counting()
        try:
            build('scratch', folder, counting, *hooks, apply=apply).train()
        except SystemExit:
            return None
        return counting.steps, counting.total.tolist(), (counting.ones * 2).tolist()

    assert run('run', Stop(step=STEPS + 5)) is None
    assert run('run', apply=False) == run('whole') == (3 * STEPS, [15.0] * 2, [60.0] * 3)


@pytest.mark.parametrize('apply', [False, True])
def test_a_moving_average_that_is_left_out_is_refused(apply, build, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build('scratch', 'run', Stop(validation=2), custom_hooks=[dict(type='StudentEMAHook')]).train()
    with pytest.raises(UserError, match='--resume: expected the moving average that the run of .* has'):
        build('scratch', 'run', apply=apply).train()


def test_gradients_that_wait_for_a_step_are_kept(build, tmp_path):
    """Ten batches of an epoch, four of a step: the checkpoint falls between two steps."""

    def run(folder, *hooks, apply=None):
        more = dict(optim_wrapper__accumulative_counts=4)
        runner = build('scratch', folder, *hooks, apply=apply, **more)
        try:
            runner.train()
        except KeyboardInterrupt:
            return None
        return torch.cat([x.detach().flatten() for x in runner.model.parameters()])

    assert run('run', Stop(validation=1)) is None
    whole = run('whole')
    assert torch.equal(run('run', apply=False), whole)


class Own(Count):
    """The same with methods of its own for its state."""

    def state_dict(self):
        return dict(mine=self.validations, seen=dict(self.seen))

    def load_state_dict(self, state):
        self.validations, self.seen = state['mine'], state['seen']


PLATEAU = [dict(type='ReduceOnPlateauLR', monitor='accuracy/top1', rule='greater', threshold=5, patience=0)]


@pytest.mark.parametrize('scores', [SCORES, (10, 11, 12, 13, 14, 15)], ids=['worse', 'better'])
@pytest.mark.parametrize('stop', [dict(validation=3), dict(step=2 * STEPS + 5), dict(validation=4)])
def test_hooks_go_on_with_their_state(stop, scores, build, tmp_path):
    """Killed in a validation, within an epoch, and with a best checkpoint of each validation."""
    more = dict(
        train_cfg__max_epochs=6,
        custom_hooks=EARLY,
        param_scheduler=PLATEAU,
        default_hooks__checkpoint=dict(interval=1, save_best='accuracy/top1', rule='greater'),
    )

    def run(folder, *hooks, apply=None):
        counts = Count(), Own()
        runner = build('scratch', folder, Score(*scores), *counts, *hooks, apply=apply, **more)
        try:
            runner.train()
        except (KeyboardInterrupt, SystemExit):
            return None
        return [x.__dict__ for x in counts], runner.epoch, runner.optim_wrapper.get_lr()

    whole = run('whole')
    assert whole[1] == (4 if scores is SCORES else 6)
    assert run('run', Stop(**stop)) is None
    assert run('run', apply=False) == whole


@pytest.mark.parametrize('when', ['within the validation', 'after it'])
def test_a_repeated_validation_counts_once(when, build, tmp_path):
    """The checkpoint was saved once more in it, since it was the best."""

    class Kill(Hook):
        priority = 'LOWEST' if when == 'after it' else 'VERY_LOW'

        def after_val_epoch(self, runner, metrics=None):
            if runner.epoch == 2:
                raise KeyboardInterrupt

    best = dict(default_hooks__checkpoint=dict(interval=1, save_best='accuracy/top1', rule='greater'))
    with pytest.raises(KeyboardInterrupt):
        build('scratch', 'run', Score(10, 20, 30), Count(), Kill(), **best).train()
    count = Count()
    build('scratch', 'run', Score(10, 20, 30), count, apply=False, **best).train()
    assert count.validations == 3 and count.seen == {'1': 10.0, '2': 20.0, '3': 30.0}


# -- Work dirs


def test_a_second_run_is_refused_and_one_without_results_may_begin_again(build, begun, tmp_path):
    begun()
    before = sorted(x.name for x in (tmp_path / 'run').iterdir() if x.suffix)
    with pytest.raises(UserError, match='work_dir: expected a folder without a run.*--resume.*--work-dir'):
        build().train()
    assert sorted(x.name for x in (tmp_path / 'run').iterdir() if x.suffix) == before

    class Break(Hook):
        def before_train_epoch(self, runner):
            raise KeyboardInterrupt

    for hooks in ([Break()], [Break()]):
        with pytest.raises(KeyboardInterrupt):
            build('scratch', 'crashed', *hooks).train()


HOLD = """
import sys, time
from hetkd.engine.work_dir import claimed
with claimed(sys.argv[1], True):
    print('held', flush=True)
    time.sleep(60)
"""


def test_two_at_once_meet_a_lock_which_ends_with_its_process(tmp_path):
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    other = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(tmp_path)], env=env, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == 'held\n'
    try:
        said = rf'got one in which process {other.pid} on .* trains'
        with pytest.raises(UserError, match=said), claimed(str(tmp_path), True):
            pass
    finally:
        other.kill()
        other.wait()
    with claimed(str(tmp_path), True):
        assert (tmp_path / 'train.lock').read_text().startswith(f'process {os.getpid()} on ')


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr('fcntl.lockf', refuse)
    with claimed(str(tmp_path), False):
        pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / 'target').write_text('kept')
    (tmp_path / 'train.lock').symlink_to(tmp_path / 'target')
    with pytest.raises(OSError), claimed(str(tmp_path), True):
        pass
    assert (tmp_path / 'target').read_text() == 'kept'


def test_a_run_of_another_folder_is_not_mixed_in(build, begun, tmp_path):
    begun()
    with pytest.raises(SystemExit):
        build('scratch', 'other', Stop(step=3)).train()
    with pytest.raises(UserError, match='work_dir: expected .* to hold the run of the checkpoint'):
        build(apply=False, load_from=str(tmp_path / 'other/terminated.pth')).train()


def test_sigterm_before_the_first_checkpoint_and_a_move_lose_nothing(build, tmp_path):
    with pytest.raises(SystemExit):
        build('scratch', 'a', Stop(step=3)).train()
    (tmp_path / 'a').rename(tmp_path / 'b')
    watch = Watch()
    build('scratch', 'b', watch, apply=False).train()
    assert min(watch.rates) == 3 and not (tmp_path / 'a').exists()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


DAMAGES = dict(
    empty=lambda path: path.write_bytes(b''),
    cut=lambda path: os.truncate(path, path.stat().st_size // 2),
    flipped=flip,
    text=lambda path: path.write_text('no checkpoint'),
)


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(damage, begun, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('hetkd.engine.lasting.print_log', lambda text, *_: said.append(text))
    begun()
    run = tmp_path / 'run'
    DAMAGES[damage](run / 'epoch_2.pth')
    assert latest_checkpoint(str(run)) == str(run / 'epoch_1.pth')
    assert len(said) == 1 and 'epoch_2.pth to be a whole checkpoint, got a damaged one' in said[0]
    DAMAGES[damage](run / 'epoch_1.pth')
    with pytest.raises(UserError, match='got damaged ones alone.*delete them'):
        latest_checkpoint(str(run))


def test_a_damaged_or_a_best_checkpoint_is_refused_by_name(build, begun, tmp_path):
    begun()
    path = tmp_path / 'run/epoch_2.pth'
    best = tmp_path / 'run/best.pth'
    content = torch.load(path, weights_only=True)
    torch.save({key: content[key] for key in ('meta', 'state_dict', 'message_hub')}, best)
    with pytest.raises(UserError, match=r"without \['optimizer', 'param_schedulers'\]"):
        build(apply=False, load_from=str(best)).train()
    flip(path)
    with pytest.raises(UserError, match='epoch_2.pth to be a whole checkpoint, got a damaged one'):
        build(apply=False, load_from=str(path)).train()


@pytest.mark.parametrize('text', ['[]', '{"metrics": {"1"', '{}', '', '{"metrics": [], "seconds": 1}'])
def test_a_damaged_record_begins_anew(text, build, begun, tmp_path):
    begun()
    (tmp_path / 'run/results.json').write_text(text)
    build(apply=False).train()
    found = record(tmp_path / 'run')
    assert found['finished'] and list(found['metrics']) == ['2', '3']
