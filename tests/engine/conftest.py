"""Short runs in this process."""

import itertools

import pytest

from hetkd.apis import load_config
from hetkd.apis.launch import LOADERS, complete_loaders
from hetkd.registry import RUNNERS
from tests.conftest import ROOT

COUNT = itertools.count()


@pytest.fixture
def runner_of(tmp_path, tiny_teacher):
    """``runner_of(method='mldrkd', work_dir=..., **options)``: a runner of the micro pair on the digits."""

    def build(method='mldrkd', work_dir=tmp_path, resume=False, **options):
        path = ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
        options = {key.replace('__', '.'): value for key, value in options.items()}
        if method != 'scratch':
            options.setdefault('model.teacher.checkpoint', str(tiny_teacher))
        if 'train_cfg' not in options:
            options = {'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 1, **options}
        cfg = load_config(path, options, method)
        cfg.resume, cfg.experiment_name = resume, f'run{next(COUNT)}'
        cfg.work_dir = str(work_dir)
        complete_loaders(cfg, LOADERS)
        return RUNNERS.build(cfg)

    return build
