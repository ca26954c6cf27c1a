"""Runs that are killed, told to stop, starved of disk or memory: nothing is lost, and the end says why."""

import json
import os
import signal
import subprocess
import time

import pytest
import torch

from hetkd.engine import latest_checkpoint
from tests.conftest import ROOT, free_port, tool_command, tool_runner
from tests.tools.conftest import CONFIG

STEPS = 9


def options(teacher, **more):
    base = {
        'model.teacher.checkpoint': teacher,
        'train_cfg.max_epochs': 4,
        'train_dataloader.batch_size': 64,
        'train_dataloader.dataset.per_class': 60,
        'train_dataloader.num_workers': 2,
        'default_hooks.checkpoint.interval': 1,
        'default_hooks.logger.interval': 1,
        'default_hooks.checkpoint.save_best': None,
        **more,
    }
    return ['--cfg-options', *(f'{key}={value}' for key, value in base.items())]


def losses(work_dir):
    """Logged training losses of all runs in a work dir, by iteration; the latest run wins."""
    found = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if 'loss' in entry:
                found[entry['step']] = {key: x for key, x in entry.items() if 'loss' in key}
    return found


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def assert_equal_runs(one, other):
    assert losses(one) == losses(other) and len(losses(one)) == 4 * STEPS
    first, second = weights(one / 'epoch_4.pth'), weights(other / 'epoch_4.pth')
    assert first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope='module')
def whole(tmp_path_factory, tiny_teacher):
    """An unbroken run."""
    work_dir = tmp_path_factory.mktemp('whole')
    tool_runner('train.py', CONFIG, '--no-validate', '--work-dir', work_dir, *options(tiny_teacher))
    return work_dir


def start(work_dir, *args, tool=('train.py', CONFIG), env=None, new=False, **more):
    args = [*tool, '--no-validate', '--work-dir', work_dir, *args]
    command, environ = tool_command(*args, env=env, new=new)
    return subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )


def wait_for(process, work_dir, iteration):
    deadline = time.time() + 300
    while max(losses(work_dir), default=0) < iteration:
        assert process.poll() is None and time.time() < deadline, process.stdout.read()
        time.sleep(0.02)


def test_two_runs_of_one_seed_are_equal_bit_for_bit(whole, tmp_path, tiny_teacher, run_tool):
    """Also with another number of data workers."""
    more = {'train_dataloader.num_workers': 0}
    run_tool('train.py', CONFIG, '--no-validate', '--work-dir', tmp_path, *options(tiny_teacher, **more))
    assert_equal_runs(tmp_path, whole)


def test_data_workers_end_in_silence(tmp_path, tiny_teacher, run_tool):
    """Those of two loaders: torch complains of one while the exit waits for another."""
    more = {'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 1, 'val_dataloader.num_workers': 2}
    args = ['--work-dir', tmp_path, *options(tiny_teacher, **more)]
    printed = run_tool('train.py', CONFIG, *args, new=True).stderr
    assert 'exited unexpectedly' not in printed and 'Traceback' not in printed, printed


def test_sigterm_saves_within_the_epoch_and_the_resumed_run_is_the_unbroken_one(
    whole, tmp_path, tiny_teacher, run_tool
):
    args = options(tiny_teacher)
    process = start(tmp_path, *args, start_new_session=True)
    wait_for(process, tmp_path, STEPS + 3)
    os.killpg(process.pid, signal.SIGTERM)  # data workers get it as well
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGTERM)
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == 143, printed
    assert f'SIGTERM: saved {tmp_path}/terminated.pth after iteration' in printed
    assert 'Traceback' not in printed and 'exited unexpectedly' not in printed, printed
    done = max(losses(tmp_path))
    assert done % STEPS, 'within an epoch'
    saved = torch.load(tmp_path / 'terminated.pth', weights_only=True)['meta']
    assert (saved['epoch'], saved['iter']) == (done // STEPS, done)
    run_tool('train.py', CONFIG, '--no-validate', '--work-dir', tmp_path, '--resume', *args)
    second = sorted(tmp_path.glob('*/vis_data/scalars.json'))[1].read_text().splitlines()
    assert json.loads(second[0])['step'] == done + 1, 'no step is run twice'
    assert_equal_runs(tmp_path, whole)


def test_sigterm_waits_for_the_end_of_accumulated_gradients(tmp_path, tiny_teacher):
    args = options(tiny_teacher, **{'optim_wrapper.accumulative_counts': 4})
    process = start(tmp_path, *args)
    wait_for(process, tmp_path, 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert torch.load(tmp_path / 'terminated.pth', weights_only=True)['meta']['iter'] % 4 == 0


def test_sigterm_to_two_processes_saves_one_state(tmp_path, tiny_teacher, run_tool):
    tool = ('dist_train.sh', CONFIG, 2)
    args = options(tiny_teacher, **{'train_dataloader.batch_size': 8, 'train_cfg.max_epochs': 3})
    env = dict(PORT=free_port())
    run_tool(*tool, '--no-validate', '--work-dir', tmp_path / 'whole', *args, env=env)
    process = start(tmp_path / 'broken', *args, tool=tool, env=env)
    wait_for(process, tmp_path / 'broken', 40)
    process.send_signal(signal.SIGTERM)  # to the launcher, as a cluster does
    assert process.wait(60) and (tmp_path / 'broken/terminated.pth').exists(), process.stdout.read()
    env['PORT'] = free_port()
    run_tool(*tool, '--no-validate', '--work-dir', tmp_path / 'broken', '--resume', *args, env=env)
    assert losses(tmp_path / 'broken') == losses(tmp_path / 'whole')
    one, other = (weights(tmp_path / x / 'epoch_3.pth') for x in ('broken', 'whole'))
    statistics = {key for key in one if 'running' in key}
    assert statistics and all(torch.equal(one[k], other[k]) for k in one.keys() - statistics)
    # Of each process; averaged at an epoch's end, and once more here.
    assert all(torch.allclose(one[k], other[k], rtol=1e-4, atol=1e-6) for k in statistics)


KILL_IN_WRITE = """
import os, signal

sync = os.fsync

def half(number):
    path = os.readlink(f'/proc/self/fd/{number}')
    if 'epoch_2' in path and not os.path.exists(os.path.dirname(path) + '/killed'):
        os.truncate(path, os.path.getsize(path) // 2)
        open(os.path.dirname(path) + '/killed', 'w').close()
        os.kill(os.getpid(), signal.SIGKILL)
    sync(number)

os.fsync = half
"""


def with_module(folder, source, body=''):
    """A config that imports a module of its own, and the environment in which it is found."""
    (folder / 'own_module.py').write_text(source)
    imports = "custom_imports = dict(imports=['own_module'], allow_failed_imports=False)"
    (folder / 'config.py').write_text(f"_base_ = ['{ROOT / CONFIG}']\n{imports}\n{body}")
    return folder / 'config.py', dict(PYTHONPATH=f'{ROOT}:{folder}')


def test_a_kill_within_a_write_leaves_the_checkpoint_before(whole, tmp_path, tiny_teacher, run_tool):
    config, env = with_module(tmp_path, KILL_IN_WRITE)
    run = tmp_path / 'run'
    args = options(tiny_teacher, **{'default_hooks.checkpoint.max_keep_ckpts': 1})
    done = run_tool('train.py', config, '--no-validate', '--work-dir', run, *args, check=False, env=env)
    assert done.returncode == -signal.SIGKILL
    assert {x.name for x in run.glob('*.pth')} == {'epoch_1.pth'}, 'the new one is not there by half'
    run_tool('train.py', config, '--no-validate', '--work-dir', run, '--resume', *args, env=env)
    assert_equal_runs(run, whole)
    assert {x.name for x in run.glob('*.pth')} == {'epoch_4.pth'}, 'one is kept, as asked for'


def test_a_full_disk_is_named_and_leaves_the_checkpoint_before(tmp_path, tiny_teacher):
    """A limit on the size of files stands for it: the second checkpoint is the larger one."""
    import resource

    limit = 512 * 1024
    process = start(
        tmp_path,
        *options(tiny_teacher),
        new=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    printed = process.communicate(timeout=120)[0]
    assert process.returncode
    assert 'epoch_1.pth: expected to write this file, got' in printed and '--resume' in printed
    assert not list(tmp_path.glob('.*part')) and not list(tmp_path.glob('*.pth'))


DYING = """
import os, signal
from mmcv.transforms import BaseTransform
from hetkd.registry import TRANSFORMS

@TRANSFORMS.register_module()
class Dying(BaseTransform):
    def transform(self, results):
        if results['sample_idx'] == 40:
            os.kill(os.getpid(), signal.SIGKILL)
        return results
"""


def test_a_dead_data_worker_is_named_with_what_to_do(tmp_path, tiny_teacher, run_tool):
    pipeline = "dataset=dict(pipeline=[dict(type='Dying'), *_base_._train_pipeline])"
    config, env = with_module(tmp_path, DYING, f'train_dataloader = dict({pipeline})')
    args = ['train.py', config, '--no-validate', '--work-dir', tmp_path / 'run', *options(tiny_teacher)]
    done = run_tool(*args, check=False, env=env)
    assert done.returncode
    assert (
        'error: train_dataloader: expected its workers to live' in done.stderr
        and 'num_workers' in done.stderr
    )


def test_the_note_of_the_latest_checkpoint_may_be_empty_or_stale(tmp_path):
    assert latest_checkpoint(str(tmp_path)) is None
    for age, name in enumerate(['epoch_10.pth', 'epoch_9.pth', 'best_accuracy_top1_epoch_11.pth']):
        torch.save({}, tmp_path / name)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    newest = str(tmp_path / 'epoch_10.pth')
    assert latest_checkpoint(str(tmp_path)) == newest
    for note in ('', str(tmp_path / 'epoch_11.pth')):
        (tmp_path / 'last_checkpoint').write_text(note)
        assert latest_checkpoint(str(tmp_path)) == newest
    original = tmp_path / 'original/epoch_9.pth'
    original.parent.mkdir()
    torch.save({}, original)
    for note in ('epoch_9.pth', str(tmp_path / 'epoch_9.pth'), str(original), '/gone/epoch_9.pth'):
        (tmp_path / 'last_checkpoint').write_text(note)
        assert latest_checkpoint(str(tmp_path)) == str(tmp_path / 'epoch_9.pth')
