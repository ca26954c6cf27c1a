"""Every config loads, names only known keys, builds, and says what the papers say."""

import math
from pathlib import Path

import pytest

from hetkd.apis import check_keys, load_config
from hetkd.registry import DATASETS, RUNNERS, TRANSFORMS

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted(p for p in (ROOT / 'configs').glob('*/*.py') if p.parent.name != '_base_')
IDS = [p.relative_to(ROOT / 'configs').as_posix() for p in CONFIGS]


@pytest.fixture
def runner_of(tmp_path):
    """The runner of a config, with random weights for files and the digits for absent data sets."""

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
        cfg.experiment_name = path.stem
        runner = RUNNERS.build(cfg)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.param_schedulers = runner.build_param_scheduler(cfg.param_scheduler)
        return runner

    return build


@pytest.mark.parametrize('path', CONFIGS, ids=IDS)
def test_config_builds_and_is_short(path, runner_of):
    runner = runner_of(path)
    optimised = {id(p) for group in runner.optim_wrapper.param_groups for p in group['params']}
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


def test_a_helper_variable_starts_with_an_underscore():
    check_keys({'_mine': 1, 'model': {}}, 'x.py')
