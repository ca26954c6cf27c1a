"""A run that makes no step, or not those that it was meant to make, says so before the first one."""

import json
import re
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from hetkd.apis import load_config
from hetkd.engine.schedules import check_built, check_configs, schedule_problems
from hetkd.engine.steps import check_paramwise, loop_config
from hetkd.errors import UserError
from hetkd.registry import PARAM_SCHEDULERS, TRANSFORMS
from tests.conftest import ROOT
from tests.engine.conftest import runner_of  # noqa: F401

TRAIN = 'train_cfg.'
DATA = 'train_dataloader.'
HOOKS = 'default_hooks.'
NO_LOSS = 'model.losses: expected at least one loss, got none.*--method scratch'

# Options, and what the error says.
REFUSED = {
    'no_batch': (
        {DATA + 'dataset.per_class': 9, DATA + 'batch_size': 128},
        'at least one batch in an epoch, got 90 images for batches of 128.*batch_size to 90 at most',
    ),
    'one_image': (
        {DATA + 'dataset.indices': 1},
        'at least one batch in an epoch, got 1 images for batches of .*drop_last=False',
    ),
    'no_epochs': ({TRAIN + 'max_epochs': 0}, 'train_cfg.max_epochs: expected a whole number >= 1, got 0'),
    'negative_epochs': ({TRAIN + 'max_epochs': -1}, 'train_cfg.max_epochs: expected .*>= 1, got -1'),
    'half_an_epoch': ({TRAIN + 'max_epochs': 2.5}, 'train_cfg.max_epochs: expected .*>= 1, got 2.5'),
    'no_iterations': (
        {'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=0)},
        'train_cfg.max_iters: expected a whole number >= 1, got 0',
    ),
    'both_units': (
        {TRAIN + 'by_epoch': False, TRAIN + 'max_iters': 4},
        r"expected max_iters alone .*got \['max_epochs', 'max_iters'\].*train_cfg.max_epochs=None",
    ),
    'no_length': ({TRAIN + 'max_epochs': None}, 'expected max_epochs alone with by_epoch=True, got neither'),
    'no_interval': (
        {TRAIN + 'val_interval': 0},
        'train_cfg.val_interval: .*>= 1, got 0; .*--no-validate',
    ),
    'negative_interval': ({TRAIN + 'val_interval': -2}, 'train_cfg.val_interval: expected .*>= 1, got -2'),
    'dynamic_interval': (
        {TRAIN + 'dynamic_intervals': [(1, 0)]},
        'dynamic_intervals: .*>= 1, got 0',
    ),
    'late_validation': (
        {TRAIN + 'val_begin': 3},
        'train_cfg.val_begin: expected 2 at most, the end of the run, got 3; .*--no-validate',
    ),
    'rate_of_nothing': (
        {'optim_wrapper.paramwise_cfg': dict(custom_keys={'blocks.7': dict(lr_mult=0.1)})},
        'custom_keys.blocks.7: expected a part of the name of some parameter, got none among .*student',
    ),
    'endless_epoch': (
        {DATA + 'sampler': dict(_delete_=True, type='InfiniteSampler')},
        'train_dataloader.sampler: expected one that comes to an end, .*got InfiniteSampler',
    ),
    'endless_validation': (
        {'val_dataloader.sampler': dict(_delete_=True, type='InfiniteSampler')},
        'val_dataloader.sampler: expected one that comes to an end',
    ),
    'dropped_validation': (
        {'val_dataloader.drop_last': True, 'val_dataloader.batch_size': 7},
        'val_dataloader.drop_last: expected False, so that each image is measured, got True, which leaves 5',
    ),
    'checkpoints': (
        {HOOKS + 'checkpoint.interval': 0},
        'checkpoint.interval: .*>= 1, or -1 .*got 0',
    ),
    'kept': ({HOOKS + 'checkpoint.max_keep_ckpts': -3}, r'max_keep_ckpts: expected .*or -1 \(all\), got -3'),
    'clip': (
        {'optim_wrapper.clip_grad': dict(max_norm=-1)},
        'clip_grad.max_norm: expected .*> 0, got -1',
    ),
    'clip_nan': (
        {'optim_wrapper.clip_grad': dict(max_norm=float('nan'))},
        'clip_grad.max_norm: expected a number, got NaN',
    ),
    'per_class': ({DATA + 'dataset.per_class': -3}, 'per_class: expected a number >= 1.*got -3'),
    'no_images': ({DATA + 'dataset.per_class': 0}, 'per_class: expected a number >= 1.*got 0'),
    'no_losses': ({'model.losses': []}, NO_LOSS),
    'negative_loss': (
        {'model.losses': [dict(type='KDLoss', loss_weight=-1)]},
        'loss_weight: expected a number >= 0, got -1',
    ),
    'loss_nan': ({'model.losses': [dict(type='KDLoss', loss_weight=float('nan'))]}, 'loss_weight: .*got nan'),
    'label_loss': ({'model.ce_weight': -0.5}, 'ce_weight: expected a finite number >= 0, got -0.5'),
    'teacher': ({'model.teacher.weight': -1.0}, 'weight: expected a number >= 0, got -1.0'),
    'epochs_of_checkpoints': (
        {
            'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=4),
            HOOKS + 'checkpoint.by_epoch': True,
        },
        'default_hooks.checkpoint: expected by_epoch=False in a run that counts iterations.*got True',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_a_run_without_steps_is_refused_before_it(case, runner_of, tmp_path):  # noqa: F811
    options, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        runner_of('kd', **options).train()
    assert not [*Path(tmp_path).rglob('*.pth'), *Path(tmp_path).rglob('results.json')]


@pytest.mark.parametrize(
    'method, option, message',
    [
        ('ofa', {'logit_weight': -1.0}, 'logit_weight: expected'),
        ('ofa', {'stage_weight': float('inf')}, 'stage_weight: expected .*got inf'),
        ('mldrkd', {'fused_weight': -1.0}, 'fused_weight: expected'),
        ('rkd', {'losses': [dict(type='RKDLoss', angle_weight=-1.0)]}, 'angle_weight: expected'),
        ('rkd', {'losses': []}, NO_LOSS),
        ('hcd', {'sub_logit': dict(type='SubLogitLoss', kl_weight=-6)}, 'kl_weight: expected'),
    ],
)
def test_weights_of_losses_are_not_negative_in_any_method(method, option, message, runner_of):  # noqa: F811
    with pytest.raises(UserError, match=message):
        runner_of(method, **{f'model.{key}': value for key, value in option.items()})


def test_two_processes_need_a_batch_each(runner_of, monkeypatch):  # noqa: F811
    from mmengine.dataset import sampler

    from hetkd.engine import batches

    monkeypatch.setattr(sampler, 'get_dist_info', lambda: (0, 2))
    monkeypatch.setattr(batches, 'get_world_size', lambda: 2)
    options = {DATA + 'dataset.per_class': 6, DATA + 'batch_size': 40}
    with pytest.raises(UserError, match='60 images for batches of 40 in 2 processes.*batch_size to 30'):
        runner_of('kd', **options).train()


# Schedules, the run's length, and what is said; ten iterations an epoch.
LINEAR = dict(type='LinearLR', start_factor=0.1)
COSINE = dict(type='CosineAnnealingLR', eta_min=1e-5)
STEPS = dict(type='MultiStepLR', milestones=[2, 4])
FIT = [
    ([dict(COSINE, T_max=6)], 6),
    ([dict(LINEAR, begin=0, end=2), dict(COSINE, T_max=4, begin=2, end=6)], 6),
    ([dict(LINEAR, begin=0, end=2), dict(COSINE, T_max=4, begin=2, end=6, convert_to_iter_based=True)], 6),
    ([dict(LINEAR, begin=0, end=20, by_epoch=False), dict(COSINE, begin=0, end=6)], 6),
    ([dict(COSINE, begin=0, end=60, by_epoch=False)], 6),
    ([STEPS], 6),
    ([dict(STEPS, milestones=[20, 40], by_epoch=False)], 6),
    ([dict(type='StepLR', step_size=2)], 6),
    ([dict(type='ExponentialLR', gamma=0.9)], 6),
    ([dict(type='ConstantLR', factor=0.5, end=2)], 6),
    ([dict(LINEAR, begin=0, end=2)], 6),
    ([dict(type='PolyLR', begin=0, end=6)], 6),
    ([dict(type='OneCycleLR', eta_max=0.1, total_steps=60, by_epoch=False)], 6),
    ([dict(type='CosineRestartLR', periods=[2, 4], restart_weights=[1, 1], eta_min=0)], 6),
    ([], 6),
]
MISFIT = [
    (
        [dict(COSINE, T_max=297, begin=3, end=300)],
        6,
        'LR ends at epoch 300, the run ends at epoch 6',
    ),
    ([dict(COSINE, T_max=297)], 6, 'CosineAnnealingLR ends at epoch 297'),
    ([COSINE], 6, 'CosineAnnealingLR has no end'),
    ([dict(COSINE, T_max=6, eta_min=0.2)], 6, 'CosineAnnealingLR rises to eta_min=0.2 from 0.1'),
    ([dict(type='PolyLR', begin=0, end=6, eta_min=0.2)], 6, 'PolyLR rises to eta_min=0.2 from 0.1'),
    (
        [dict(COSINE, begin=0, end=12, convert_to_iter_based=True)],
        6,
        'at iteration 120, .* at iteration 60',
    ),
    ([dict(COSINE, begin=0, end=3)], 6, 'CosineAnnealingLR ends at epoch 3, the run at 6'),
    ([dict(COSINE, T_max=3)], 6, 'rises again after epoch 3'),
    ([dict(COSINE, T_max=4, begin=8, end=12)], 6, 'begins at epoch 8'),
    ([dict(LINEAR, begin=0, end=20)], 6, 'LinearLR ends at epoch 20'),
    ([dict(LINEAR)], 6, 'LinearLR has no end'),
    (
        [dict(type='LinearLR', start_factor=1.0, end_factor=0.1, begin=0, end=3)],
        6,
        'ends at epoch 3, the run at 6',
    ),
    ([STEPS], 3, r'MultiStepLR has milestones at epoch \[4\], the run ends at epoch 3'),
    ([STEPS], 2, r'MultiStepLR has milestones at epoch \[2, 4\]'),
    (
        [dict(STEPS, convert_to_iter_based=True)],
        3,
        r'at iteration \[40\], the run ends at iteration 30',
    ),
    ([dict(type='StepLR', step_size=30)], 6, 'StepLR has its first step at epoch 30'),
    ([dict(type='ConstantLR', factor=0.5, end=8)], 6, 'ConstantLR ends at epoch 8'),
    ([dict(type='PolyLR')], 6, 'PolyLR has no end'),
    ([dict(type='OneCycleLR', eta_max=0.1, total_steps=50, by_epoch=False)], 6, 'ends at iteration 50'),
    ([dict(type='CosineRestartLR', periods=[2, 2], restart_weights=[1, 1], eta_min=0)], 6, 'ends at epoch 4'),
    (
        [dict(LINEAR, begin=0, end=20, by_epoch=False), STEPS],
        1,
        'LinearLR ends at it.*; MultiStepLR',
    ),
]


def schedulers(configs, length=10):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    built = []
    for config in configs:
        config = dict(config)
        kind = PARAM_SCHEDULERS.get(config['type'])
        if config.pop('convert_to_iter_based', False):
            config.pop('type')
            built.append(kind.build_iter_from_epoch(optimizer=optimizer, epoch_length=length, **config))
        else:
            built.append(PARAM_SCHEDULERS.build(config, default_args=dict(optimizer=optimizer)))
    return built


def problems(configs, epochs, iterations=None, length=10):
    built = schedulers(configs, length)
    return '; '.join(schedule_problems(built, epochs, iterations or epochs * length))


@pytest.mark.parametrize('configs, epochs', FIT)
def test_a_schedule_that_fits_the_run_passes_without_a_word(configs, epochs):
    assert problems(configs, epochs) == ''


@pytest.mark.parametrize('configs, epochs, message', MISFIT)
def test_a_schedule_that_does_not_fit_the_run_is_named(configs, epochs, message):
    assert re.search(message, problems(configs, epochs))


def test_schedules_of_a_run_of_iterations():
    assert problems([dict(COSINE, by_epoch=False, end=60)], None, 60) == ''
    assert problems([dict(COSINE, end=6, convert_to_iter_based=True)], None, 60) == ''
    assert 'ends at iteration 70' in problems([dict(COSINE, by_epoch=False, end=70)], None, 60)
    assert 'ends at iteration 70' in problems([dict(COSINE, end=7, convert_to_iter_based=True)], None, 60)
    assert 'counts epochs, the run iterations' in problems([dict(COSINE, T_max=6)], None, 60)
    plateau = dict(type='ReduceOnPlateauLR', monitor='accuracy/top1', rule='greater')
    assert problems([plateau], None, 60) == problems([plateau], 6) == ''


CONFIGS = sorted(
    [*ROOT.glob('configs/mldrkd/*.py'), *ROOT.glob('configs/hcd/*.py'), *ROOT.glob('configs/teachers/*.py')]
)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda x: f'{x.parent.name}/{x.stem}')
def test_the_shipped_schedules_fit_their_runs(path):
    cfg = load_config(path)
    epochs = loop_config(cfg.train_cfg)['max_epochs']
    assert problems(cfg.param_scheduler, epochs) == '' and len(cfg.param_scheduler) > 0


def log_of(work_dir):
    return '\n'.join(x.read_text() for x in Path(work_dir).glob('*/*.log'))


def test_a_run_names_schedules_that_do_not_fit_in_one_line(runner_of, tmp_path):  # noqa: F811
    options = {DATA + 'dataset.per_class': 10, 'val_dataloader.dataset.per_class': 5, TRAIN + 'max_epochs': 1}
    fit = [dict(COSINE, begin=0, end=1, convert_to_iter_based=True)]
    runner_of('kd', tmp_path / 'short', **options).train()
    lines = [x for x in log_of(tmp_path / 'short').splitlines() if 'param_scheduler: expected' in x]
    assert len(lines) == 1 and 'WARNING' in lines[0] and 'CosineAnnealingLR ends at iteration' in lines[0]
    runner_of('kd', tmp_path / 'fit', param_scheduler=fit, **options).train()
    assert 'param_scheduler: expected' not in log_of(tmp_path / 'fit')


def test_a_rate_and_a_decay_of_some_parameters(runner_of):  # noqa: F811
    keys = {'student': dict(lr_mult=0.1), 'pos_embed': dict(decay_mult=0.0)}
    runner_of(
        'kd', **{'optim_wrapper.paramwise_cfg': dict(custom_keys=keys), TRAIN + 'max_epochs': 1}
    ).train()


ONE_STEP = [
    (
        dict(LINEAR, begin=0, end=1),
        'LinearLR: expected at least two epochs .*begin=0, end=1: lr would stay 0.1 times',
    ),
    (dict(LINEAR, begin=3, end=4, by_epoch=False), 'two iterations .*begin=3, end=4'),
    (dict(LINEAR, begin=0, end=0.1, convert_to_iter_based=True), 'two iterations .*begin=0, end=1'),
    (dict(type='LinearMomentum', start_factor=0.5, begin=0, end=1), 'momentum would stay 0.5 times'),
    (dict(type='ConstantLR', factor=0.2, begin=0, end=1), 'ConstantLR: .*lr would stay 0.2 times'),
]


@pytest.mark.parametrize('config, message', ONE_STEP)
def test_a_warm_up_of_one_step_is_refused(config, message):
    built = schedulers([config])
    with pytest.raises(UserError, match=message):
        check_built(built, 6, 60)


BROKEN = [
    ([dict(LINEAR, begin=0, end=2.5)], r'LinearLR.end: expected whole epochs, .*got \[2.5\]'),
    ([dict(type='ConstantLR', factor=0.5, begin=0.5, end=3)], r'ConstantLR.begin: .*got \[0.5\]'),
    ([dict(type='StepLR', step_size=2.4)], r'StepLR.step_size: .*got \[2.4\]'),
    (
        [dict(type='StepLR', step_size=0.25, convert_to_iter_based=True)],
        r'step_size: expected whole iterations',
    ),
    ([dict(STEPS, milestones=[0.55 * 100])], r'MultiStepLR.milestones: .*got \[55.00000'),
    (
        [dict(type='CosineRestartLR', periods=[2.5, 3.5], restart_weights=[1, 1], eta_min=0)],
        r'CosineRestartLR.periods: .*got \[2.5, 3.5\]',
    ),
    (
        [
            dict(LINEAR, begin=0, end=2),
            dict(type='CosineRestartLR', periods=[6], restart_weights=[1], eta_min=0),
        ],
        'CosineRestartLR: expected no other schedule of lr in the same steps, .*got LinearLR',
    ),
    (
        [dict(type='OneCycleLR', eta_max=0.1, total_steps=60, by_epoch=False), dict(LINEAR, begin=0, end=2)],
        'OneCycleLR: expected no other schedule of lr in the same steps, .*got LinearLR',
    ),
]


@pytest.mark.parametrize('configs, message', BROKEN)
def test_a_schedule_whose_rates_are_others_than_it_says_is_refused(configs, message):
    built = schedulers(configs)
    with pytest.raises(UserError, match=message):
        check_built(built, 6, 60)


@pytest.mark.parametrize('configs, epochs', FIT)
def test_one_that_fits_is_built_as_it_is(configs, epochs):
    check_configs(configs)
    check_built(schedulers(configs), epochs, epochs * 10)


def test_a_restart_may_follow_a_warm_up():
    restart = dict(type='CosineRestartLR', periods=[4], restart_weights=[1], eta_min=0, begin=2, end=6)
    for warm_up in (dict(LINEAR, begin=0, end=2), dict(LINEAR, begin=0, end=20, by_epoch=False)):
        check_built(schedulers([warm_up, restart]), 6, 60)


@pytest.mark.parametrize(
    'config, message',
    [
        (dict(type='ReduceOnPlateauLR', monitor='accuracy/top1'), "expected rule='greater' for an accuracy"),
        (
            dict(type='ExponentialLR', gamma=0.9, convert_to_iter_based=True),
            'expected a factor for each epoch',
        ),
        (dict(type='OneCycleLR', total_steps=60), 'expected eta_max, its highest rate, got none'),
    ],
)
def test_a_schedule_that_reads_its_config_otherwise_is_refused(config, message):
    for configs in (config, [COSINE, config], dict(student=[config])):
        with pytest.raises(UserError, match=message):
            check_configs(configs)


@pytest.mark.parametrize(
    'change, message',
    [
        (
            dict(norm_decay_mul=0.0),
            'paramwise_cfg.norm_decay_mul: expected a key, .*nearest: norm_decay_mult',
        ),
        (dict(layer_decay_rate=0.7), 'paramwise_cfg.layer_decay_rate: expected a key'),
        (dict(custom_keys=dict(student=dict(lr_mul=0.1))), 'custom_keys.student.lr_mul: .*nearest: lr_mult'),
        (dict(flat_decay_mult=0.0), 'flat_decay_mult: expected optimizer.weight_decay in the config'),
    ],
)
def test_a_key_of_single_parameters_that_is_not_read_is_refused(change, message):
    config = dict(optimizer=dict(type='AdamW', lr=1e-3), paramwise_cfg=change)
    with pytest.raises(UserError, match=message):
        check_paramwise(config, ['student.weight'])
    own = dict(
        constructor='LearningRateDecayOptimWrapperConstructor', paramwise_cfg=dict(layer_decay_rate=0.7)
    )
    check_paramwise(own, ['student.weight'])
    custom = dict(student=dict(lr_mult=0.1, decay_mult=0.0, betas=(0.9, 0.9)))
    check_paramwise(dict(config, paramwise_cfg=dict(custom_keys=custom)), ['student.weight'])


@pytest.mark.parametrize('steps, rate', [(1, 0.01), (2, 0.1)])
@pytest.mark.parametrize('kind', [dict(LINEAR, start_factor=0.1), dict(type='ConstantLR', factor=0.1)])
def test_why_it_is_refused(kind, steps, rate):
    (schedule,) = schedulers([dict(kind, begin=0, end=steps)])
    for _ in range(9):
        schedule.optimizer.step()
        schedule.step()
    assert schedule.optimizer.param_groups[0]['lr'] == pytest.approx(rate)


def test_a_run_refuses_a_warm_up_of_one_step(runner_of):  # noqa: F811
    options = {DATA + 'dataset.per_class': 10, 'param_scheduler': [dict(LINEAR, begin=0, end=1)]}
    with pytest.raises(UserError, match='param_scheduler: LinearLR: expected at least two epochs'):
        runner_of('kd', **options).train()


class Saved(Hook):
    """When checkpoints are saved, and metrics logged."""

    def __init__(self):
        self.at = []

    def before_save_checkpoint(self, runner, checkpoint):
        self.at.append(checkpoint['meta']['iter'])


@pytest.mark.parametrize('stopping', [False, True])
def test_a_run_of_iterations_counts_iterations(stopping, runner_of, tmp_path):  # noqa: F811
    options = {
        'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=10, val_interval=4),
        DATA + 'dataset.per_class': 10,
        'val_dataloader.dataset.per_class': 5,
        HOOKS + 'checkpoint': dict(type='CheckpointHook', interval=3, max_keep_ckpts=2, save_best=None),
        HOOKS + 'logger.interval': 2,
        'param_scheduler': [],
    }
    if stopping:
        stop = dict(type='EarlyStoppingHook', monitor='accuracy/top1', min_delta=100.0, patience=1)
        options['custom_hooks'] = [stop]
    runner = runner_of('kd', **options)
    saved = Saved()
    runner.register_hook(saved)
    runner.train()
    end, validations = (8, ['4', '8']) if stopping else (10, ['4', '8', '10'])
    assert saved.at == ([3, 6, 8] if stopping else [3, 6, 9, 10])
    kept = sorted(x.name for x in tmp_path.glob('*.pth'))
    assert kept == (['iter_6.pth', 'iter_8.pth'] if stopping else ['iter_10.pth', 'iter_9.pth'])
    assert (tmp_path / 'last_checkpoint').read_text() == f'iter_{end}.pth'
    record = json.loads((tmp_path / 'results.json').read_text())
    assert record['iterations'] == 10 and 'epochs' not in record and list(record['metrics']) == validations
    assert record['last']['iteration'] == end and 'epoch' not in record['last']
    log = log_of(tmp_path)
    assert 'Iter(train) [ 2/10]' in log and 'Iter(val) [' in log and 'Epoch(' not in log
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    lines = [json.loads(x) for x in scalars.read_text().splitlines()]
    assert [x['step'] for x in lines if 'accuracy/top1' in x] == [int(x) for x in validations]
    assert not any('epoch' in x for x in lines)


@pytest.mark.parametrize('within', [True, False])
def test_random_transforms_that_do_not_repeat_are_named_once(within, runner_of):  # noqa: F811
    flip = dict(type='RandomFlip', prob=0.5)
    runner = runner_of('scratch')
    step = dict(type='RandomSeeded', transforms=[flip]) if within else flip
    runner.train_dataloader.dataset.pipeline.transforms.insert(0, TRANSFORMS.build(step))
    said = []
    runner.logger.warning = said.append
    runner.train()
    found = [x for x in said if 'got RandomFlip outside' in x and 'another number of workers' in x]
    assert len(found) == (not within)
