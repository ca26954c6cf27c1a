"""Every config loads, names only known keys, builds, and says what the papers say."""

import functools
import itertools
import json
import math
from pathlib import Path

import pytest

from hetkd.apis import check_keys, load_config
from hetkd.registry import DATASETS, MODELS, RUNNERS, TRANSFORMS

ROOT = Path(__file__).resolve().parent.parent
# Pair by pair, so that a pair's nets are built once for all methods.
CONFIGS = sorted((ROOT / 'configs').glob('[!_]*/*.py'), key=lambda path: (path.name, path.parent.name))
IDS = [p.relative_to(ROOT / 'configs').as_posix() for p in CONFIGS]


@functools.lru_cache(maxsize=2)
def built_net(config):
    return BUILD(json.loads(config))


BUILD = MODELS.build


@pytest.fixture
def runner_of(tmp_path, monkeypatch):
    """The runner of a config, with random weights for files and the digits for absent data sets."""

    def build_once(config, *args, **kwargs):
        if config['type'] in ('TimmNet', 'MMPretrainNet', 'MambaNet'):
            return built_net(json.dumps(config))
        return BUILD(config, *args, **kwargs)

    monkeypatch.setattr(MODELS, 'build', build_once)

    def build(path):
        cfg = load_config(str(path))
        for name in ('teacher', 'student'):
            if name in cfg.model:
                cfg.model[name].update(checkpoint='random', pretrained=False)
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            dataset = cfg[name].dataset
            assert DATASETS.get(dataset.type)
            for transform in dataset.pipeline:
                TRANSFORMS.build(transform)
            cfg[name].dataset = dict(type='Digits')
            cfg[name].num_workers = 0
        cfg.work_dir = str(tmp_path)
        cfg.experiment_name = f'{path.parent.name}-{path.stem}'
        runner = RUNNERS.build(cfg)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.param_schedulers = runner.build_param_scheduler(cfg.param_scheduler)
        return runner

    return build


@pytest.mark.parametrize('path', CONFIGS, ids=IDS)
def test_config_builds_and_is_short(path, runner_of):
    runner = runner_of(path)
    optimised = {id(p) for group in runner.optim_wrapper.optimizer.param_groups for p in group['params']}
    assert optimised == {id(p) for p in runner.model.parameters()}
    assert len(path.read_text().splitlines()) <= 25


def rates(runner, epochs):
    for _ in range(epochs):
        yield runner.optim_wrapper.param_groups[0]['lr']
        for scheduler in runner.param_schedulers:
            scheduler.step()


@pytest.mark.parametrize('name', ['deit-t_res18_cifar100', 'deit-t_res18_cifar100_32px'])
def test_the_cnn_recipe_is_the_papers(name, runner_of):
    runner = runner_of(ROOT / f'configs/mldrkd/{name}.py')
    lr = list(rates(runner, 300))
    for epoch in range(4):  # linear from 1e-4 to .05 over three epochs
        assert lr[epoch] == pytest.approx(1e-4 + (0.05 - 1e-4) * epoch / 3)
    for epoch in (4, 10, 150, 299):  # cosine to 1e-3
        expected = 1e-3 + (0.05 - 1e-3) * (1 + math.cos(math.pi * (epoch - 3) / 297)) / 2
        assert lr[epoch] == pytest.approx(expected)
    optimizer = runner.optim_wrapper.optimizer
    assert type(optimizer).__name__ == 'SGD'
    assert len(optimizer.param_groups) == 1, 'weight decay on everything'
    group = optimizer.param_groups[0]
    assert (group['momentum'], group['nesterov'], group['weight_decay']) == (0.9, True, 2e-3)
    assert runner.cfg.optim_wrapper.get('clip_grad') is None
    assert runner.cfg.train_cfg.max_epochs == 300
    assert runner.cfg.train_dataloader.batch_size == 128 and runner.cfg.train_dataloader.drop_last


def test_the_vit_recipe_is_ofa_kds(runner_of):
    runner = runner_of(ROOT / 'configs/kd/convnext-t_swin-p_cifar100.py')
    lr = list(rates(runner, 300))
    for epoch in range(21):  # linear from 5e-7 to 5e-4 over twenty epochs
        assert lr[epoch] == pytest.approx(5e-7 + (5e-4 - 5e-7) * epoch / 20)
    for epoch in (21, 100, 299):  # cosine to 1e-5
        expected = 1e-5 + (5e-4 - 1e-5) * (1 + math.cos(math.pi * (epoch - 20) / 280)) / 2
        assert lr[epoch] == pytest.approx(expected)
    names = {id(p): name for name, p in runner.model.named_parameters()}
    groups = runner.optim_wrapper.optimizer.param_groups
    free = {names[id(p)] for g in groups for p in g['params'] if g['weight_decay'] == 0}
    decayed = {names[id(p)] for g in groups for p in g['params'] if g['weight_decay'] == 0.05}
    assert free | decayed == set(names.values())
    tables = {name for name in names.values() if name.endswith('relative_position_bias_table')}
    assert tables and free == tables | {names[id(p)] for p in runner.model.parameters() if p.ndim < 2}
    assert runner.cfg.optim_wrapper.clip_grad == dict(max_norm=5.0)
    augments = runner.model.data_preprocessor.batch_augments.augments
    assert [(type(x).__name__, x.alpha) for x in augments] == [('Mixup', 0.8), ('CutMix', 1.0)]
    types = [x['type'] for x in runner.cfg.train_pipeline[0]['transforms']]
    assert types == ['RandomResizedCrop', 'RandomFlip', 'RandAugment', 'RandomErasing']


def test_teachers_reach_their_rate_after_the_whole_warm_up(runner_of):
    lr = list(rates(runner_of(ROOT / 'configs/teachers/swin-t_cifar100.py'), 100))
    for epoch in range(21):  # linear from 5e-7 to 5e-5 over twenty epochs
        assert lr[epoch] == pytest.approx(5e-7 + (5e-5 - 5e-7) * epoch / 20)
    assert lr[99] == pytest.approx(1e-6, abs=1e-7)


def test_the_grid_is_complete():
    """Every pair has every method, as a file that only names the two pieces, and its scratch baseline."""
    base = ROOT / 'configs/_base_'
    pairs, methods = ([p.stem for p in sorted((base / x).glob('*.py'))] for x in ('pairs', 'methods'))
    assert set(METHODS) == set(methods) and len(pairs) == 28
    for pair, method in itertools.product(pairs, methods):
        cell = (ROOT / f'configs/{method}/{pair}.py').read_text()
        assert f"_base_ = ['../_base_/pairs/{pair}.py', '../_base_/methods/{method}.py']" in cell
        assert 'model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)' in cell
    for pair in pairs:
        _, student, data = pair.split('_', 2)
        assert (ROOT / f'configs/scratch/{student}_{data}.py').exists()


METHODS = dict(
    kd=dict(type='LogitDistiller', losses=[dict(type='KDLoss', temperature=1.0)]),
    dkd=dict(type='LogitDistiller', losses=[dict(type='DKDLoss', alpha=1.0, beta=2.0, temperature=1.0)]),
    dist=dict(type='LogitDistiller', losses=[dict(type='DISTLoss', beta=1.0, gamma=1.0, temperature=1.0)]),
    fitnet=dict(type='FeatureDistiller', losses=[dict(type='HintLoss', loss_weight=4.0)]),
    cc=dict(type='FeatureDistiller', losses=[dict(type='CCLoss', gamma=0.4, order=2)]),
    rkd=dict(type='FeatureDistiller', losses=[dict(type='RKDLoss', distance_weight=25.0, angle_weight=50.0)]),
    crd=dict(
        type='FeatureDistiller',
        losses=[dict(type='CRDLoss', num_negatives=16384, temperature=0.07, momentum=0.5, loss_weight=1.0)],
        embedding_matcher=dict(type='ContrastHead'),
    ),
    ofa=dict(type='OFA', ofa=dict(type='OFALoss', eps=1.0, temperature=1.0)),
    rsd=dict(
        type='FeatureDistiller',
        losses=[dict(type='RSDLoss', kappa=0.01, loss_weight=0.1)],
        embedding_matcher=dict(type='AAD', ratio=2),
    ),
    mldrkd=dict(type='MLDRKD'),
    hcd=dict(type='HCD'),
)


@pytest.mark.parametrize('method', METHODS)
def test_a_cell_is_the_published_setting_on_its_pair(method):
    cfg = load_config(str(ROOT / f'configs/{method}/mixer-b16_mobilenetv2_cifar100.py'))
    model = cfg.model.to_dict()
    assert model.pop('teacher')['model'] == 'mixer_b16_224'
    assert model.pop('student')['model'] == 'mobilenetv2_100'
    assert model == METHODS[method]


def test_the_data_are_normalised_as_in_the_paper():
    cfg = load_config(ROOT / 'configs/mldrkd/deit-t_res18_cifar100.py')
    assert [x / 255 for x in cfg.data_preprocessor.mean] == pytest.approx([0.5071, 0.4865, 0.4409])
    assert [x / 255 for x in cfg.data_preprocessor.std] == pytest.approx([0.2673, 0.2564, 0.2762])


def test_adamw_has_inherited_nothing_from_sgd():
    for path in CONFIGS:
        optimizer = load_config(str(path)).optim_wrapper.optimizer
        assert optimizer.type != 'AdamW' or not {'momentum', 'nesterov'} & set(optimizer)


@pytest.mark.parametrize('key', ['modell', 'optim_wraper', 'train_dataloder', 'zzz'])
def test_an_unknown_top_level_key_is_refused(key, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(f"_base_ = ['{ROOT}/configs/scratch/cnn-micro_digits.py']\n{key} = 1\n")
    with pytest.raises(ValueError, match=f"got '{key}'.*'_{key}'"):
        load_config(str(path))


@pytest.mark.parametrize(
    'piece, value, instead',
    [
        ('teacher', "dict(checkpoint='mine.pth')", 'model.teacher'),
        ('student', "dict(checkpoint='mine.pth')", 'model.student'),
        ('method', 'dict(ce_weight=2.0)', 'model'),
        ('data_root', "'/mine'", 'train_dataloader.dataset.data_root'),
        ('dataset_type', "'Digits'", 'train_dataloader.dataset.type'),
        ('train_pipeline', '[]', 'train_dataloader.dataset.pipeline'),
        ('test_pipeline', '[]', 'test_dataloader.dataset.pipeline'),
    ],
)
def test_a_piece_that_was_used_already_cannot_be_changed_without_effect(piece, value, instead, tmp_path):
    path = tmp_path / 'config.py'
    base = f"_base_ = ['{ROOT}/configs/kd/deit-t_res18_cifar100.py']\n"
    path.write_text(f'{base}{piece} = {value}\n')
    with pytest.raises(ValueError, match=f"'{piece}'.*it would change nothing; set {instead} instead"):
        load_config(str(path))
    path.write_text(base)
    with pytest.raises(ValueError, match=f'--cfg-options.*set {instead} instead'):
        load_config(str(path), {f'{piece}.x': 1, 'model.ce_weight': 2.0, 'train_dataloader.batch_size': 1})
    path.write_text(
        f'{base}{piece} = {value}\ntrain_dataloader = dict(batch_size=1)\nmodel = dict(ce_weight=2.0)\n'
    )
    with pytest.raises(ValueError, match='it would change nothing'):
        load_config(str(path))
    path.write_text(f'{base}{piece} = {value}\nmodel = dict(train_cfg=None)\n_mine = {piece}\n')
    assert load_config(str(path)).model.type, 'a piece that the file itself uses'
    path.write_text(base)
    cfg = load_config(str(path), {'model.teacher.checkpoint': 'mine.pth'})
    assert cfg.model.teacher.checkpoint == 'mine.pth'


@pytest.mark.parametrize('key', ['compile', 'activation_checkpointing', 'efficient_conv_bn_eval'])
def test_what_mmengine_reads_is_known(key):
    check_keys({key: True}, 'x.py')


def test_a_helper_variable_starts_with_an_underscore():
    check_keys({'_mine': 1, 'model': {}}, 'x.py')
