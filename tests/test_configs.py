"""Every config loads, names only known keys, builds, and says what the papers say."""

import functools
import itertools
import json
import math
from pathlib import Path

import pytest
from mmengine.config import Config

from hetkd.apis import check_keys, load_config
from hetkd.registry import DATASETS, MODELS, RUNNERS, TRANSFORMS

ROOT = Path(__file__).resolve().parent.parent
# Pair by pair, so that a pair's nets are built once for all methods; before them the trained teachers, as a
# distiller freezes the net that it gets.
CONFIGS = sorted(
    (ROOT / 'configs').glob('[!_]*/*.py'),
    key=lambda path: (path.parent.name != 'teachers', path.name, path.parent.name),
)
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
    # A runner prints its config three times; laying it out takes half of the time.
    monkeypatch.setattr(Config, 'pretty_text', property(str))

    def build(path):
        cfg = load_config(str(path))
        for name in ('teacher', 'student'):
            if name in cfg.model:
                cfg.model[name].update(checkpoint='random', pretrained=False)
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            dataset = cfg[name].dataset
            while 'dataset' in dataset:  # InMemory, whose views are the preprocessor's
                dataset = dataset.dataset
            assert DATASETS.get(dataset.type)
            for transform in dataset.get('pipeline', ()):
                TRANSFORMS.build(transform)
            cfg[name].dataset = dict(type='Digits', serialize_data=False)
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
    optimizer = runner.cfg.optim_wrapper.optimizer
    assert optimizer.type != 'AdamW' or not {'momentum', 'nesterov'} & set(optimizer), 'left over from SGD'
    assert len(path.read_text().splitlines()) <= 25


def rates(runner, epochs):
    for _ in range(epochs):
        yield runner.optim_wrapper.param_groups[0]['lr']
        for scheduler in runner.param_schedulers:
            scheduler.step()


def check_warm_up_and_cosine(lr, first, high, low, warm_up, epochs):
    """Linear from ``first`` to ``high`` over the warm-up, then a cosine to ``low``."""
    for epoch in range(warm_up + 1):
        assert lr[epoch] == pytest.approx(first + (high - first) * epoch / warm_up)
    for epoch in (warm_up + 1, 10 + warm_up, epochs // 2, epochs - 1):
        fall = (1 + math.cos(math.pi * (epoch - warm_up) / (epochs - warm_up))) / 2
        assert lr[epoch] == pytest.approx(low + (high - low) * fall)


@pytest.mark.parametrize('name', ['deit-t_res18_cifar100', 'deit-t_res18_cifar100_32px'])
def test_the_cnn_recipe_is_the_papers(name, runner_of):
    runner = runner_of(ROOT / f'configs/mldrkd/{name}.py')
    check_warm_up_and_cosine(list(rates(runner, 300)), 1e-4, 0.05, 1e-3, warm_up=3, epochs=300)
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
    check_warm_up_and_cosine(list(rates(runner, 300)), 5e-7, 5e-4, 1e-5, warm_up=20, epochs=300)
    check_adamw(runner, {'relative_position_bias_table'})
    check_vit_views(runner)


def check_adamw(runner, also_free):
    """Decay .05 on all weights but vectors and tensors of these names; no other group; gradients clipped."""
    optimizer = runner.optim_wrapper.optimizer
    assert type(optimizer).__name__ == 'AdamW'
    names = {id(p): name for name, p in runner.model.named_parameters()}
    groups = optimizer.param_groups
    free = {names[id(p)] for g in groups for p in g['params'] if g['weight_decay'] == 0}
    decayed = {names[id(p)] for g in groups for p in g['params'] if g['weight_decay'] == 0.05}
    assert free | decayed == set(names.values())
    special = {name for name in names.values() if name.split('.')[-1] in also_free}
    assert {name.split('.')[-1] for name in special} == also_free
    assert free == special | {names[id(p)] for p in runner.model.parameters() if p.ndim < 2}
    assert runner.cfg.optim_wrapper.clip_grad == dict(max_norm=5.0)


def check_vit_views(runner):
    """RandAugment 9/0.5, erasing .25, mixup .8, cutmix 1."""
    augments = runner.model.data_preprocessor.batch_augments.augments
    assert [(type(x).__name__, x.alpha) for x in augments] == [('Mixup', 0.8), ('CutMix', 1.0)]
    random = next(x for x in runner.cfg.train_pipeline if x['type'] == 'RandomSeeded')['transforms']
    assert [x['type'] for x in random] == ['RandomResizedCrop', 'RandomFlip', 'RandAugment', 'RandomErasing']
    assert (random[2]['magnitude_level'], random[2]['magnitude_std']) == (9, 0.5)
    assert random[3]['erase_prob'] == 0.25


@pytest.mark.parametrize(
    'name, also_free',
    [
        ('swin-t_cifar100', {'relative_position_bias_table'}),
        ('vit-s_cub', {'cls_token', 'pos_embed'}),
        ('mixer-b16_tiny-imagenet', set()),
    ],
)
def test_a_teacher_is_fine_tuned_as_ofa_kds(name, also_free, runner_of):
    runner = runner_of(ROOT / f'configs/teachers/{name}.py')
    check_warm_up_and_cosine(list(rates(runner, 100)), 5e-7, 5e-5, 1e-6, warm_up=20, epochs=100)
    assert runner.cfg.train_cfg.max_epochs == 100 and runner.cfg.train_dataloader.batch_size == 128
    check_adamw(runner, also_free)
    check_vit_views(runner)


def test_imagenets_cnn_recipe_is_ofa_kds(runner_of):
    runner = runner_of(ROOT / 'configs/hcd/deit-t_res18_imagenet.py')
    lr = list(rates(runner, 100))
    for begin, rate in ((0, 0.1), (30, 0.01), (60, 1e-3), (90, 1e-4)):
        assert lr[begin : begin + 30] == pytest.approx([rate] * len(lr[begin : begin + 30]))
    assert len(lr) == runner.cfg.train_cfg.max_epochs == 100
    optimizer = runner.optim_wrapper.optimizer
    assert type(optimizer).__name__ == 'SGD'
    (group,) = optimizer.param_groups
    assert (group['momentum'], group['nesterov'], group['weight_decay']) == (0.9, False, 1e-4)
    assert runner.cfg.optim_wrapper.get('clip_grad') is None
    assert runner.cfg.auto_scale_lr.base_batch_size == 256
    assert runner.model.data_preprocessor.batch_augments is None


def test_imagenets_vit_recipe_is_ofa_kds_with_a_moving_average(runner_of):
    runner = runner_of(ROOT / 'configs/hcd/convnext-t_deit-t_imagenet.py')
    check_warm_up_and_cosine(list(rates(runner, 300)), 5e-7, 5e-4, 1e-6, warm_up=20, epochs=300)
    assert runner.cfg.train_cfg.max_epochs == 300
    check_adamw(runner, {'cls_token', 'pos_embed'})
    check_vit_views(runner)
    (average,) = (hook for hook in runner.hooks if type(hook).__name__ == 'StudentEMAHook')
    assert 1 - average.ema_cfg['momentum'] == pytest.approx(0.99996, abs=1e-9)


def test_the_grid_is_complete():
    """Every pair has every method, as a file that only names the two pieces, and its scratch baseline."""
    base = ROOT / 'configs/_base_'
    pairs, methods = ([p.stem for p in sorted((base / x).glob('*.py'))] for x in ('pairs', 'methods'))
    assert set(METHODS) == set(methods) and len(pairs) == 37
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


PAIRS = sorted(path.stem for path in (ROOT / 'configs/_base_/pairs').glob('*.py'))


@pytest.mark.parametrize('pair', PAIRS)
def test_a_pairs_teacher_is_published_or_trained_by_a_config_of_its_name(pair):
    cfg = load_config(ROOT / f'configs/kd/{pair}.py')
    teacher, _, data = pair.split('_', 2)
    net = cfg.model.teacher.to_dict()
    file, pretrained = net.pop('checkpoint', None), net.pop('pretrained', None)
    if file is None:
        assert pretrained is True and net['num_classes'] == 1000 and data == 'imagenet'
        return
    assert file == f'checkpoints/{teacher}_{data}.pth' and pretrained is None
    training = load_config(ROOT / f'configs/teachers/{teacher}_{data}.py')
    trained = training.model.student.to_dict()
    assert trained.pop('checkpoint') is None
    trained.pop('pretrained', None)
    assert trained == net, 'the same net with the same number of classes'
    assert training.val_dataloader.dataset == cfg.val_dataloader.dataset
    for loaded in (training, cfg):
        assert loaded.data_preprocessor.num_classes == net['num_classes']


def test_ofas_exponent_is_larger_on_imagenet():
    for pair in PAIRS:
        ofa = load_config(ROOT / f'configs/ofa/{pair}.py').model.ofa
        assert ofa == dict(METHODS['ofa']['ofa'], eps=1.5 if pair.endswith('_imagenet') else 1.0)


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
