"""A tool shows a user's mistake alone: one sentence, status 1, once."""

import errno
import json
import os
import pickle
import re

import pytest
import torch

from hetkd.apis.cli import add_config, config_of, tool_parser
from hetkd.apis.cli import run_tool as run
from hetkd.apis.mistakes import UnknownMistake, is_in_own_code, mistake_of
from hetkd.engine.plain_model import plain_model
from hetkd.errors import UserError
from hetkd.registry import HOOKS, MODELS
from tests.conftest import ROOT, free_port
from tests.tools.conftest import CONFIG

# A mistake that is found when the config is read, one when the net is built, one when the run begins.
STAGES = {
    'read': (['default_hooks.chekpoint.interval=1'], 'default_hooks.chekpoint: expected'),
    'built': (['model.teacher.checkpoint=nowhere.pth'], 'weight file: expected a file at'),
    'begun': (['train_dataloader.dataset.indices=0'], 'train_dataloader: expected at least one batch'),
    'foreign': (
        ['model.fusion.chanels=3', 'model.teacher.checkpoint=random'],
        'MSDF.chanels: expected a key of MSDF',
    ),
    'mean': (
        ['data_preprocessor.mean=[1,2]'],
        'data_preprocessor.mean: expected 3 numbers, one for each channel of the images, got 2',
    ),
    'together': (
        ['val_evaluator=None'],
        'config: expected all of val_dataloader, val_cfg, val_evaluator, or',
    ),
    'optimizer': (
        ['param_scheduler=[]', 'optim_wrapper.paramwise_cfg=3'],
        'optim_wrapper.paramwise_cfg: expected a dict, got 3',
    ),
}


@pytest.mark.parametrize('stage', STAGES)
def test_a_mistake_is_one_sentence(stage, tmp_path, tiny_teacher, run_tool):
    options, words = STAGES[stage]
    if not any('checkpoint=' in x for x in options):
        options = [f'model.teacher.checkpoint={tiny_teacher}', *options]
    done = run_tool('train.py', CONFIG, '--work-dir', tmp_path, '--cfg-options', *options, check=False)
    assert done.returncode == 1 and 'Traceback' not in done.stdout + done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f'train.py: error: {words}') and ', got ' in last, done.stderr


HOOK = """
from mmengine.hooks import Hook
from hetkd.registry import HOOKS

@HOOKS.register_module()
class Broken(Hook):
    def before_train(self, runner):
        None.shape
"""


def test_an_unknown_error_in_a_users_own_code_shows_where(tmp_path, tiny_teacher, run_tool):
    (tmp_path / 'broken.py').write_text(HOOK)
    (tmp_path / 'own.py').write_text(
        f"_base_ = ['{ROOT / CONFIG}']\n"
        "custom_imports = dict(imports='broken')\ncustom_hooks = [dict(type='Broken')]\n"
    )
    done = run_tool(
        'train.py', tmp_path / 'own.py', '--work-dir', tmp_path / 'run', '--cfg-options',
        f'model.teacher.checkpoint={tiny_teacher}', check=False, env={'PYTHONPATH': str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1 and 'line 8, in before_train' in done.stderr, done.stderr
    assert "got AttributeError: 'NoneType' object has no" in done.stderr.strip().splitlines()[-1]


class Broken:
    """What arrives of a worker that was killed while it sent."""

    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return _fail, (self.error,)


def _fail(error):
    raise error('gone')


class Failing(torch.utils.data.Dataset):
    def __init__(self, error, sends):
        self.error, self.sends = error, sends

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return Broken(self.error) if self.sends else _fail(self.error)


@pytest.mark.parametrize('sends', [True, False])
@pytest.mark.parametrize('error', [ConnectionResetError, EOFError, FileNotFoundError])
def test_a_worker_that_dies_while_it_sends_is_told_from_one_that_fails(error, sends):
    loader = torch.utils.data.DataLoader(Failing(error, sends), num_workers=1, collate_fn=list)
    with pytest.raises(error) as info:
        next(iter(loader))
    assert ('its workers to live' in str(mistake_of(info.value))) == sends


def test_the_thread_that_pins_batches_ends_with_the_sender():
    # torch's words, CUDA only (torch/utils/data/dataloader.py, _get_data)
    error = RuntimeError('Pin memory thread exited unexpectedly')
    assert 'its workers to live' in str(mistake_of(error))


@pytest.mark.parametrize('call, own', [(plain_model, True), (json.loads, False)])
def test_an_error_of_hetkd_itself_is_told_from_one_of_a_library(call, own):
    with pytest.raises((AttributeError, TypeError)) as info:
        call(None)
    error = info.value.with_traceback(info.value.__traceback__.tb_next)  # without the test
    assert isinstance(mistake_of(error), UnknownMistake) and is_in_own_code(error) == own


def test_the_traceback_is_shown_when_asked_for(tmp_path, run_tool):
    options = ['--cfg-options', 'default_hooks.chekpoint.interval=1']
    done = run_tool('train.py', CONFIG, *options, check=False, env={'HETKD_TRACEBACK': '1'})
    assert done.returncode == 1 and 'Traceback' in done.stderr and 'UserError: default_hooks' in done.stderr


def test_of_two_processes_one_speaks(tmp_path, tiny_teacher, run_tool):
    options = [f'model.teacher.checkpoint={tiny_teacher}', 'train_dataloader.dataset.indices=0']
    args = [CONFIG, 2, '--work-dir', tmp_path, '--cfg-options', *options]
    done = run_tool('dist_train.sh', *args, check=False, env={'PORT': free_port()})
    assert done.returncode and done.stderr.count('train.py: error: ') == 1, done.stderr
    # The launcher ends with the same sentence, not with a riddle of its own.
    assert 'UserError: train_dataloader: expected at least one batch' in done.stderr[-400:], done.stderr


@pytest.mark.parametrize(
    'tool', ['preflight.py', 'misc/print_config.py', 'misc/fetch_data.py', 'cache_teacher.py']
)
def test_every_tool_with_a_config_says_it_alike(tool, run_tool, tmp_path):
    more = ['--out', tmp_path / 'x', '--views', 1] if tool == 'cache_teacher.py' else []
    done = run_tool(tool, CONFIG, *more, '--cfg-options', 'default_hooks.chekpoint.interval=1', check=False)
    name = os.path.basename(tool)
    assert done.returncode == 1 and f'{name}: error: default_hooks.chekpoint: expected' in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_work_dir_that_cannot_be_made_is_a_sentence(tmp_path, tiny_teacher, run_tool):
    (tmp_path / 'file').write_text('')
    args = [
        CONFIG,
        '--work-dir',
        tmp_path / 'file/run',
        '--cfg-options',
        f'model.teacher.checkpoint={tiny_teacher}',
    ]
    done = run_tool('train.py', *args, check=False)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert f'train.py: error: {tmp_path}/file' in done.stderr and 'check the path' in done.stderr


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    def train_step():
        raise RuntimeError('shapes differ')

    with pytest.raises(RuntimeError, match='shapes differ'):
        run(train_step)


def test_a_sentence_is_the_exit(capsys):
    def main():
        raise UserError('x', 'a', 'b', 'c')

    with pytest.raises(SystemExit, match='error: x: expected a, got b; c$'):
        run(main)


@pytest.mark.parametrize(
    'number, words',
    [
        (errno.ENOSPC, 'file: expected to use it, got No space left on device; free some space'),
        (errno.EROFS, 'Read-only file system; name a folder on another file system'),
        (errno.EACCES, 'Permission denied; change its rights'),
        (errno.ENOENT, 'No such file or directory; check the path'),
    ],
)
def test_errors_of_disks_say_what_to_do(number, words):
    assert words in str(mistake_of(OSError(number, os.strerror(number))))


def test_errors_of_builders_are_translated():
    for registry, config, words in (
        (MODELS, dict(type='NoSuchNet'), 'config: expected registered names, got NoSuchNet is not in the'),
        (
            MODELS,
            dict(type='FrozenTeacher'),
            "FrozenTeacher: expected arguments .* got missing .*'net'",
        ),
        (MODELS, dict(model=3), 'config: expected a type in every dict that is built'),
        (
            HOOKS,
            dict(type='LoggerHook', intervall=1),
            'LoggerHook: expected arguments that it takes, and all it needs, got .*intervall',
        ),
        (
            HOOKS,
            dict(type='LossGuardHook', intervall=1),
            'LossGuardHook.intervall: expected a key .*; nearest: interval',
        ),
    ):
        with pytest.raises(Exception) as info:
            registry.build(config)
        found = mistake_of(info.value)
        assert found is not None and re.search(words, str(found)), str(found)


def test_an_error_of_a_data_worker_keeps_its_sentence():
    """torch makes it anew in the main process, from its text with a traceback in it."""
    copy = UserError(
        'Caught UserError in DataLoader worker process 0.\nhetkd.errors.UserError: x.png: expected a, got b'
    )
    assert str(mistake_of(copy)) == 'x.png: expected a, got b'


def test_the_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(UserError('x', 'a', 'b', 'c')))
    assert (error.what, error.expected, error.got, error.fix) == ('x', 'a', 'b', 'c')
    assert str(error) == 'x: expected a, got b; c'


def test_memory():
    found = mistake_of(torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB'))
    assert 'lower train_dataloader.batch_size' in str(found)


OPTIONS = {
    'train_dataloader.sampler={type:SemiSupervisedSampler,labelled_share:0.5}': 'a dict, {type:Semi',
    'train_dataloader.sampler=dict(type="DefaultSampler", shuffle=True)': 'a dict, dict(type=',
    'model.train_cfg={}': 'a dict, {}',
    'custom_hooks="[dict(type=EMAHook)]"': 'a dict, "[dict(',
    'custom_hooks=[1, {"type": "EMAHook"}]': 'a dict, [1',
    'model.ce_weight': 'expected key=value, without white space, got model.ce_weight',
    'work_dir=/mnt/my disk': "expected a value of work_dir without white space, got '/mnt/my disk'",
    '=0.5': 'expected key=value, without white space, got =0.5',
    'data_preprocessor.mean=[1,2': 'expected brackets in pairs, got Imbalanced brackets exist in [1,2',
}


@pytest.mark.parametrize('text', OPTIONS)
def test_an_option_of_another_form_is_refused(text):
    parser = tool_parser('')
    add_config(parser)
    with pytest.raises(UserError) as info:
        parser.parse_args(['x.py', '--cfg-options', text])
    assert str(info.value).startswith('--cfg-options: expected ') and OPTIONS[text] in str(info.value)
    if 'a dict' in OPTIONS[text]:
        key = text.partition('=')[0]
        assert f'set each key of it: {key}.type=NAME {key}.KEY=VALUE; {key}._delete_=True' in str(info.value)


def test_the_advice_replaces_a_dict():
    parser = tool_parser('')
    add_config(parser)
    key = 'train_dataloader.sampler'
    options = [f'{key}.type=SemiSupervisedSampler', f'{key}.labelled_share=0.5', f'{key}._delete_=True']
    options += ['default_hooks.checkpoint.filename_tmpl={:04d}.pth']
    cfg = config_of(parser.parse_args([CONFIG, '--cfg-options', *options]))
    assert cfg.train_dataloader.sampler == dict(type='SemiSupervisedSampler', labelled_share=0.5)
    assert cfg.default_hooks.checkpoint.filename_tmpl == '{:04d}.pth'


def test_every_tool_reads_options_in_this_way():
    files = [*ROOT.glob('tools/**/*.py'), *ROOT.glob('hetkd/**/*.py'), *ROOT.glob('projects/**/*.py')]
    assert len(files) > 100
    assert [x.name for x in files if re.search(r'action=\w*\.?DictAction', x.read_text())] == []


def test_a_metric_that_nobody_gives_is_named(tmp_path, tiny_teacher, run_tool):
    options = [
        f'model.teacher.checkpoint={tiny_teacher}', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1',
        'default_hooks.checkpoint.save_best=acuracy/top1',
    ]  # fmt: skip
    done = run_tool('train.py', CONFIG, '--work-dir', tmp_path, '--cfg-options', *options, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert 'default_hooks.checkpoint.save_best: expected a metric that val_evaluator gives' in last, (
        done.stderr
    )
