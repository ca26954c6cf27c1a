"""One short real run that the tool tests share."""

from types import SimpleNamespace

import pytest

from tests.conftest import ROOT, tool_runner

CONFIG = 'configs/mldrkd/vit-micro_cnn-micro_digits.py'


@pytest.fixture(scope='session')
def short_run(tmp_path_factory, tiny_teacher):
    """Two epochs of MLDR-KD on the digits by tools/train.py."""
    work_dir = tmp_path_factory.mktemp('run')
    options = [
        f'model.teacher.checkpoint={tiny_teacher}',
        'train_cfg.max_epochs=2',
        'train_cfg.val_interval=1',
    ]
    options += ['default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1']
    done = tool_runner('train.py', CONFIG, '--work-dir', work_dir, '--cfg-options', *options)
    return SimpleNamespace(
        config=ROOT / CONFIG,
        options=options,
        work_dir=work_dir,
        checkpoint=work_dir / 'epoch_2.pth',
        log=done.stdout + done.stderr,
    )


@pytest.fixture(scope='session')
def exported(short_run, tmp_path_factory):
    """The exported student of the short run."""
    out = tmp_path_factory.mktemp('export') / 'student.pth'
    tool_runner('model_converters/export_student.py', short_run.config, short_run.checkpoint, out)
    return out
