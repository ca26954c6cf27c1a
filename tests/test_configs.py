"""Configs load, name only known keys, build, and say what the papers say."""

import functools
import json
import math
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from hetkd.apis import check_keys, load_config
from hetkd.apis.config import find_method, methods
from hetkd.datasets import unheld
from hetkd.errors import UserError
from hetkd.registry import DATASETS, MODELS, RUNNERS, TRANSFORMS
from tests.conftest import ROOT

CONFIGS = ROOT / 'configs'
PAIRS = sorted(path.stem for path in (CONFIGS / 'mldrkd').glob('*.py'))
MICRO = 'vit-micro_cnn-micro_digits'


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
    # Of nets of hundreds of millions of weights none is looked at.
    for name in ('uniform_', 'normal_', 'erfinv_'):
        monkeypatch.setattr(torch.Tensor, name, lambda self, *args, **kwargs: self.zero_())

    def build(path, method=None):
        cfg = load_config(CONFIGS / path, method=method)
        for name in ('teacher', 'student'):
            if name in cfg.model:
                cfg.model[name].update(checkpoint='random', pretrained=False)
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            dataset, labelled = cfg[name].dataset, None
            while 'dataset' in dataset:  # InMemory, whose views are the preprocessor's
                dataset, labelled = dataset.dataset, dataset.get('labelled')
            assert DATASETS.get(dataset.type)
            for transform in dataset.get('pipeline', ()):
                TRANSFORMS.build(transform)
            cfg[name].dataset = dict(type='Digits', labelled=dataset.get('labelled', labelled))
            cfg[name].num_workers = 0
        cfg.work_dir = str(tmp_path)
        cfg.experiment_name = f'{path}-{method}'
        runner = RUNNERS.build(cfg)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.param_schedulers = runner.build_param_scheduler(cfg.param_scheduler)
        return runner

    return build


def check_optimizer(runner):
    """It has every parameter, and nothing is left over from another optimizer."""
    optimised = {id(p) for group in runner.optim_wrapper.optimizer.param_groups for p in group['params']}
    assert optimised == {id(p) for p in runner.model.parameters()}
    optimizer = runner.cfg.optim_wrapper.optimizer
    assert optimizer.type != 'AdamW' or not {'momentum', 'nesterov'} & set(optimizer), 'left over from SGD'


@pytest.mark.parametrize('pair', PAIRS)
def test_a_pair_builds_with_a_method(pair, runner_of):
    """Methods take turns, so that each meets several pairs."""
    method = methods()[PAIRS.index(pair) % len(methods())]
    check_optimizer(runner_of(f'mldrkd/{pair}.py', method))


@pytest.mark.parametrize('method', methods())
def test_a_method_builds_on_a_pair(method, runner_of):
    check_optimizer(runner_of(f'hcd/{MICRO}.py', method))


@pytest.mark.parametrize('name', sorted(path.stem for path in (CONFIGS / 'teachers').glob('*.py')))
def test_a_teachers_training_builds(name, runner_of):
    check_optimizer(runner_of(f'teachers/{name}.py'))


@pytest.mark.parametrize('file', sorted(CONFIGS.rglob('*.py')), ids=lambda x: str(x.relative_to(CONFIGS)))
def test_files_are_short_and_every_piece_loads(file):
    assert len(file.read_text().splitlines()) <= 60
    Config.fromfile(file)


def test_a_net_names_no_data_set_and_a_data_set_is_named_once():
    for file in (CONFIGS / '_base_/nets').glob('*.py'):
        assert not re.search('num_classes|checkpoint|cifar100|imagenet', file.read_text()), file
    assert len(list(CONFIGS.rglob('*.py'))) <= 240


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


def check_timms_cosine(lr, first, high, low, warm_up, epochs, short=0.01):
    """timm's: the cosine counts from the first epoch, where the warm-up stands, up to ``short`` below."""
    for epoch in range(warm_up):
        assert lr[epoch] == pytest.approx(first + (high - first) * epoch / warm_up, rel=short)
    for epoch in (warm_up, warm_up + 1, 10 + warm_up, epochs // 2, epochs - 1):
        fall = (1 + math.cos(math.pi * epoch / epochs)) / 2
        assert lr[epoch] == pytest.approx(low + (high - low) * fall, rel=2e-3)


@pytest.mark.parametrize('name', ['deit-t_res18_cifar100', 'deit-t_res18_cifar100_32px'])
def test_the_cnn_recipe_is_the_papers(name, runner_of):
    runner = runner_of(f'mldrkd/{name}.py')
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
    runner = runner_of('mldrkd/convnext-t_swin-p_cifar100.py', 'kd')
    check_timms_cosine(list(rates(runner, 300)), 5e-7, 5e-4, 1e-5, warm_up=20, epochs=300)
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
    pipeline = VIEWS._strong_pipeline
    random = next(x for x in pipeline if x['type'] == 'RandomSeeded')['transforms']
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
    runner = runner_of(f'teachers/{name}.py')
    check_timms_cosine(list(rates(runner, 100)), 5e-8, 5e-5, 1e-6, warm_up=20, epochs=100, short=0.1)
    assert runner.cfg.train_cfg.max_epochs == 100 and runner.cfg.train_dataloader.batch_size == 128
    check_adamw(runner, also_free)
    check_vit_views(runner)


def test_imagenets_cnn_recipe_is_ofa_kds(runner_of):
    runner = runner_of('hcd/deit-t_res18_imagenet.py')
    lr = list(rates(runner, 100))
    assert lr[:3] == pytest.approx([1e-4 + (0.1 - 1e-4) * epoch / 3 for epoch in range(3)])
    for begin, end, rate in ((3, 30, 0.1), (30, 60, 0.01), (60, 90, 1e-3), (90, 100, 1e-4)):
        assert lr[begin:end] == pytest.approx([rate] * (end - begin))
    assert len(lr) == runner.cfg.train_cfg.max_epochs == 100
    optimizer = runner.optim_wrapper.optimizer
    assert type(optimizer).__name__ == 'SGD'
    for group in optimizer.param_groups:
        assert (group['momentum'], group['nesterov']) == (0.9, True)
        assert all(group['weight_decay'] == (1e-4 if x.ndim > 1 else 0) for x in group['params'])
    assert runner.cfg.optim_wrapper.get('clip_grad') is None
    assert runner.cfg.auto_scale_lr.base_batch_size == 512
    assert runner.model.data_preprocessor.batch_augments is None


def test_imagenets_vit_recipe_is_ofa_kds_with_a_moving_average(runner_of):
    runner = runner_of('hcd/convnext-t_deit-t_imagenet.py')
    check_timms_cosine(list(rates(runner, 300)), 5e-7, 5e-4, 1e-6, warm_up=20, epochs=300)
    assert runner.cfg.train_cfg.max_epochs == 300
    check_adamw(runner, {'cls_token', 'pos_embed'})
    check_vit_views(runner)
    (average,) = (hook for hook in runner.hooks if type(hook).__name__ == 'StudentEMAHook')
    assert 1 - average.ema_cfg['momentum'] == pytest.approx(0.99996, abs=1e-9)


def test_a_cell_names_its_pair_and_its_method():
    for pair in PAIRS:
        for method in ('mldrkd', 'hcd'):
            cell = (CONFIGS / f'{method}/{pair}.py').read_text()
            pieces = f"['../_base_/pairs/{pair}.py', '../_base_/methods/{method}.py']"
            assert cell == f'_base_ = {pieces}\n\nmodel = _base_._pair\n'
    for folder in ('hcd', '_base_/pairs'):
        assert {path.stem for path in (CONFIGS / folder).glob('*.py')} == set(PAIRS)
    assert set(methods()) == {*METHODS, 'scratch'}


def test_stock_mmengine_reads_a_whole_cell():
    plain = Config.fromfile(CONFIGS / f'mldrkd/{MICRO}.py').to_dict()
    mine = load_config(CONFIGS / f'mldrkd/{MICRO}.py').to_dict()
    assert mine == {key: value for key, value in plain.items() if not key.startswith('_')}
    assert mine['model']['type'] == 'MLDRKD' and {'teacher', 'student'} < set(mine['model'])


@pytest.mark.parametrize('method', ['kd', 'scratch', 'hcd'])
def test_a_method_keeps_all_of_the_cell_but_its_own(method, tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(
        f"_base_ = '{CONFIGS}/mldrkd/{MICRO}.py'\n"
        'model = dict(label_loss=dict(label_smoothing=0.2), train_cfg=dict(augments=[]), logit_weight=9.0)\n'
    )
    cell, other = load_config(child), load_config(child, method=method)
    expected = METHODS.get(method, dict(type='NetClassifier'))
    kept = {key: cell.model[key] for key in ('student', 'label_loss', 'train_cfg')}
    kept |= {} if method == 'scratch' else {'teacher': cell.model.teacher}
    assert other.model.to_dict() == {**expected, **Config(kept).to_dict()}
    assert {k: v for k, v in other.items() if k != 'model'} == {k: v for k, v in cell.items() if k != 'model'}
    again = tmp_path / 'dumped.py'
    other.dump(str(again))
    assert load_config(again).to_dict() == other.to_dict(), 'the dumped config runs without the flag'
    changed = load_config(child, {'model.label_loss.label_smoothing': 0.3}, method)
    assert changed.model.label_loss.label_smoothing == 0.3


def test_a_method_of_ones_own_may_bring_its_imports(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = '{find_method('kd')}'\ncustom_imports = dict(imports=['this'])\n"
        'model = dict(ce_weight=0.5)\n'
    )
    cfg = load_config(CONFIGS / f'mldrkd/{MICRO}.py', method=str(path))
    assert cfg.model.ce_weight == 0.5 and cfg.model.losses == METHODS['kd']['losses']
    assert cfg.custom_imports.imports == ['this']


@pytest.mark.parametrize(
    'name, text, message',
    [
        ('kdd', None, "--method: expected one of .'at'.*got 'kdd'"),
        ('{tmp}/no.py', None, r'--method: expected a file at .*/no\.py, got none'),
        ('{tmp}/x.py', 'losses = []', r"x\.py: expected a method, model = dict.type=.*got .'losses'"),
        ('{tmp}/x.py', 'model = dict(ce_weight=1.0)', 'got no model.type'),
        ('{tmp}/x.py', "model = dict(type='HCD')\noptim_wrapper = dict()", "got .'optim_wrapper'"),
    ],
)
def test_what_is_no_method_is_refused(name, text, message, tmp_path):
    if text:
        (tmp_path / 'x.py').write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_config(CONFIGS / f'mldrkd/{MICRO}.py', method=name.format(tmp=tmp_path))


def test_a_method_needs_a_teacher():
    with pytest.raises(UserError, match="model.teacher and model.student.*got model.type='NetClassifier'"):
        load_config(CONFIGS / 'teachers/vit-micro_digits.py', method='kd')


def test_a_config_that_is_not_there_is_answered_by_what_to_give(tmp_path, monkeypatch):
    absent = 'configs/mldrkd/swin-t_res18_cifar.py'
    with pytest.raises(
        UserError, match=f"expected a config file, got '{absent}'; nearest: configs/mldrkd/swin"
    ):
        load_config(absent)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match='nearest: hetkd::mldrkd/swin-t_res18_c'):
        load_config(absent)
    with pytest.raises(UserError, match=f"got 'photo.py'; give its path from this folder, {tmp_path}"):
        load_config('photo.py')


METHODS = dict(
    kd=dict(type='LogitDistiller', losses=[dict(type='KDLoss', temperature=1.0)]),
    dkd=dict(type='LogitDistiller', losses=[dict(type='DKDLoss', alpha=1.0, beta=2.0, temperature=1.0)]),
    lskd=dict(
        type='LogitDistiller',
        losses=[dict(type='KDLoss', temperature=2.0, standardise=True, loss_weight=9.0)],
        ce_weight=0.1,
    ),
    rld=dict(
        type='LogitDistiller',
        losses=[dict(type='RLDLoss', alpha=1.0, beta=8.0, temperature=4.0, warmup=20)],
    ),
    dist=dict(type='LogitDistiller', losses=[dict(type='DISTLoss', beta=1.0, gamma=1.0, temperature=1.0)]),
    fitnet=dict(type='FeatureDistiller', losses=[dict(type='HintLoss', loss_weight=4.0)]),
    cc=dict(type='FeatureDistiller', losses=[dict(type='CCLoss', gamma=0.4, order=2, loss_weight=100.0)]),
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
    at=dict(type='FeatureDistiller', losses=[dict(type='ATLoss', loss_weight=1000.0)]),
    cat=dict(type='FeatureDistiller', losses=[dict(type='CATLoss', resolution=2, loss_weight=400.0)]),
    vkd=dict(
        type='FeatureDistiller',
        losses=[dict(type='VkDLoss', loss_weight=1.0)],
        logit_losses=[dict(type='KDLoss', temperature=1.0)],
        embedding_matcher=dict(type='OrthogonalProjector'),
    ),
    mldrkd=dict(type='MLDRKD'),
    hcd=dict(type='HCD'),
)
METHODS['rsd-logits'] = dict(
    type='LogitDistiller', losses=[dict(type='RSDLogitLoss', kappa=0.01, loss_weight=0.1)]
)
VIEWS = Config.fromfile(CONFIGS / '_base_/datasets/views_strong.py')


@pytest.mark.parametrize('pair', PAIRS)
def test_a_pairs_teacher_is_published_or_trained_by_a_config_of_its_name(pair):
    cfg = load_config(CONFIGS / f'hcd/{pair}.py')
    teacher, _, data = pair.removesuffix('_5labels').split('_', 2)  # the teacher has all labels
    net = cfg.model.teacher.to_dict()
    file, pretrained = net.pop('checkpoint', None), net.pop('pretrained', None)
    if file is None:
        assert pretrained is True and data == 'imagenet' and cfg.data_preprocessor.num_classes == 1000
        return
    # A small data set's teacher may have been trained on larger views of the same images.
    name = Path(file).stem
    larger = f'{teacher}_{data.split("_")[0]}_96px'
    assert file == f'checkpoints/{name}.pth' and name in (f'{teacher}_{data}', larger) and pretrained is None
    training = load_config(ROOT / f'configs/teachers/{name}.py')
    trained = training.model.student.to_dict()
    trained.pop('pretrained', None)
    net = {key: x for key, x in net.items() if key not in ('channels_last', 'dtype')}
    for key in {'mean', 'std'} & set(net):
        assert net.pop(key) == training.data_preprocessor[key]
    assert trained == net, 'the same net'
    images = [dict(unheld(x.val_dataloader.dataset.to_dict())) for x in (training, cfg)]
    assert images[0] | dict(pipeline=None) == images[1] | dict(pipeline=None)
    assert training.data_preprocessor.num_classes == cfg.data_preprocessor.num_classes


def test_ofas_exponent_is_larger_on_imagenet():
    for pair in PAIRS:
        ofa = load_config(CONFIGS / f'mldrkd/{pair}.py', method='ofa').model.ofa
        assert ofa == dict(METHODS['ofa']['ofa'], eps=1.5 if pair.endswith('_imagenet') else 1.0)


def test_a_config_of_ones_own_takes_the_piece_of_its_data(tmp_path):
    own = tmp_path / 'my_run.py'
    own.write_text(f"_base_ = '{CONFIGS}/mldrkd/deit-t_res18_imagenet.py'\n")
    assert load_config(own, method='ofa').model.ofa.eps == 1.5


def test_hcds_other_reading_is_one_flag_away():
    plain, other = (load_config(CONFIGS / f'hcd/{MICRO}.py', method=x).model for x in (None, 'hcd_detached'))
    assert other.pop('sub_logit') == dict(detach=True, reduction='mean')
    assert other.pop('orthogonality') == dict(reduction='mean') and other == plain
    assert 'hcd_detached' not in methods()


@pytest.mark.parametrize('method', METHODS)
def test_a_cell_is_the_published_setting_on_its_pair(method):
    cfg = load_config(CONFIGS / 'mldrkd/mixer-b16_mobilenetv2_cifar100.py', method=method)
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
    path.write_text(f"_base_ = ['{CONFIGS}/teachers/vit-micro_digits.py']\n{key} = 1\n")
    with pytest.raises(UserError, match=f"got '{key}'.*'_{key}'"):
        load_config(str(path))


@pytest.mark.parametrize(
    'key, value, instead',
    [
        ('teacher', "dict(checkpoint='mine.pth')", 'model.teacher'),
        ('student', "dict(checkpoint='mine.pth')", 'model.student'),
        ('method', 'dict(ce_weight=2.0)', 'the keys of model, or choose a method by --method NAME'),
        ('data_root', "'/mine'", 'train_dataloader.dataset.data_root'),
        ('dataset_type', "'Digits'", 'train_dataloader.dataset.type'),
        ('train_pipeline', "[dict(type='PackInputs')]", 'train_dataloader.dataset.pipeline'),
        ('test_pipeline', "[dict(type='Resize', scale=9)]", 'test_dataloader.dataset.pipeline'),
    ],
)
def test_a_name_that_changes_nothing_is_refused(key, value, instead, tmp_path):
    path = tmp_path / 'config.py'
    base = f"_base_ = ['{CONFIGS}/mldrkd/deit-t_res18_cifar100.py']\n"
    for more in ('', 'train_dataloader = dict(batch_size=1)\nmodel = dict(ce_weight=2.0)\n'):
        path.write_text(f'{base}{key} = {value}\n{more}')
        with pytest.raises(UserError, match=f"'{key}'.*set {instead}"):
            load_config(path)
    path.write_text(base)
    with pytest.raises(UserError, match=f"--cfg-options.*'{key}'.*set {instead}"):
        load_config(path, {f'{key}.x': 1, 'model.ce_weight': 2.0, 'train_dataloader.batch_size': 1})
    cfg = load_config(path, {'model.teacher.checkpoint': 'mine.pth'})
    assert cfg.model.teacher.checkpoint == 'mine.pth'


def test_mmpretrains_helper_variables_are_known_where_they_are_used(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(
        f"_base_ = ['{CONFIGS}/mldrkd/vit-micro_cnn-micro_digits.py']\n"
        "dataset_type = 'Digits'\ntrain_pipeline = [dict(type='PackInputs')]\n"
        'train_dataloader = dict(dataset=dict(type=dataset_type, pipeline=train_pipeline))\n'
    )
    assert load_config(path).train_dataloader.dataset.type == 'Digits'


@pytest.mark.parametrize('key', ['compile', 'activation_checkpointing', 'efficient_conv_bn_eval'])
def test_what_mmengine_reads_is_known(key):
    check_keys({key: True}, 'x.py')


def test_a_helper_variable_starts_with_an_underscore():
    check_keys({'_mine': 1, 'model': {}}, 'x.py')


@pytest.mark.parametrize('ending', ['', '.py'])
def test_a_config_of_ones_own_inherits_from_one_of_the_package(ending, tmp_path):
    name = 'mldrkd/vit-micro_cnn-micro_digits'
    (tmp_path / 'mine.py').write_text(f"_base_ = 'hetkd::{name}{ending}'\ntrain_cfg = dict(max_epochs=3)\n")
    cfg, base = load_config(tmp_path / 'mine.py'), load_config(f'hetkd::{name}{ending}')
    assert cfg.train_cfg.max_epochs == 3 and cfg.model == base.model
    (tmp_path / 'mine.py').write_text("_base_ = 'hetkd::mldrkd/vit-micro_cnn-micro_digit'\n")
    with pytest.raises(UserError, match='nearest: hetkd::mldrkd/vit-micro_cnn-micro_digits,'):
        load_config(tmp_path / 'mine.py')
