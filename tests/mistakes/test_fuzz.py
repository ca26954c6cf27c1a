"""Random values and damage: a run that is valid, or a user's mistake that is named; never anything else."""

import itertools

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hetkd.apis import load_config
from hetkd.apis.launch import LOADERS, complete_loaders
from hetkd.apis.mistakes import mistake_of
from hetkd.errors import UserError
from hetkd.registry import RUNNERS
from hetkd.utils.weight_file import read_file
from tests.conftest import ROOT

CELL = ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
COUNT = itertools.count()
# The same examples each time, none of them shrunk: a failure names its options.
SETTINGS = settings(
    max_examples=40, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from([None, True, False, '', 'x', '4', [], {}, [1, 2], {'type': 'x'}, {'a': 1}]),
    st.sampled_from([0, -1, 1, 2, 7, 0.5, -0.5, 1e30, -1e30, float('nan'), float('inf')]),
)
# What a value may make so large that the test does not end.
ENDLESS = {'train_cfg.max_epochs', 'model.student.model_kwargs', 'model.teacher.model_kwargs'}


def leaves(tree, path=''):
    """Paths of a config that --cfg-options can set."""
    for key, value in tree.items():
        name = f'{path}{key}'
        if name not in ENDLESS:
            yield name
            if isinstance(value, dict):
                yield from leaves(value, f'{name}.')


PATHS = sorted(leaves(load_config(CELL, method='kd')))


@SETTINGS
@given(path=st.sampled_from(PATHS), value=VALUES)
def test_a_config_trains_or_is_a_mistake(path, value, tmp_path_factory, tiny_teacher):
    options = {
        'model.teacher.checkpoint': str(tiny_teacher),
        'train_cfg.max_epochs': 1,
        'train_dataloader.dataset.per_class': 3,
        'val_dataloader.dataset.per_class': 3,
        'default_hooks.teacher_check.allow_chance': True,
    }
    try:
        cfg = load_config(CELL, {**options, path: value}, 'kd')
        cfg.work_dir, cfg.experiment_name = str(tmp_path_factory.mktemp('fuzz')), f'fuzz{next(COUNT)}'
        complete_loaders(cfg, LOADERS)
        RUNNERS.build(cfg).train()
    except Exception as error:
        found = mistake_of(error)
        assert found is not None, f'{path}={value!r}: {error!r}'
        assert found.expected and len(str(found)) < 3000, f'{path}={value!r}: {found}'


@pytest.fixture(scope='module')
def weight_file(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'x.pth'
    torch.save({'state_dict': {'a.weight': torch.arange(6.0).view(2, 3), 'a.bias': torch.ones(2)}}, path)
    return path.read_bytes()


@settings(SETTINGS, max_examples=300)
@given(data=st.data())
def test_a_damaged_weight_file_is_read_or_is_a_mistake(data, weight_file, tmp_path_factory):
    content = bytearray(weight_file)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    path = tmp_path_factory.getbasetemp() / 'damaged.pth'
    path.write_bytes(content)
    try:
        read_file(str(path))
    except UserError as error:
        assert 'weights_only' not in str(error)
