"""A process or node that does not come is named, and the run ends at a stated time."""

import os
import signal
import subprocess
import time

from tests.conftest import free_port, tool_command
from tests.tools.conftest import CONFIG


def start(name, *args, env=None, new=False):
    command, environ = tool_command(name, *args, env={'PORT': free_port(), **(env or {})}, new=new)
    return subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_a_stopped_process_is_named_and_the_run_ends(tmp_path, tiny_teacher):
    options = {
        'model.teacher.checkpoint': tiny_teacher,
        'train_cfg.max_epochs': 10000,
        'default_hooks.logger.interval': 1,
        'default_hooks.waiting.warn_after': 2,
        'default_hooks.waiting.end_after': 4,
    }
    flags = [
        '--no-validate',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        *(f'{k}={v}' for k, v in options.items()),
    ]
    run = start('dist_train.sh', CONFIG, 2, *flags, new=True)  # real children, to be found and stopped
    stopped, printed = None, ''
    try:
        for line in run.stdout:
            printed += line
            if stopped is None and 'epoch 1/' in line:
                children = subprocess.check_output(['pgrep', '-P', str(run.pid)], text=True).split()
                ranks = {_rank(int(x)): int(x) for x in children}
                stopped = ranks['1']
                os.kill(stopped, signal.SIGSTOP)
            if 'did not come' in line:  # else the launcher waits half a minute to kill it
                os.kill(stopped, signal.SIGKILL)
        assert run.wait(60) != 0
    finally:
        os.killpg(run.pid, signal.SIGKILL) if run.poll() is None else None
    assert 'for process 1 (stopped or gone, after step' in printed, printed[-3000:]
    assert 'process 1 (stopped or gone' in printed and 'did not come; resume with --resume' in printed


def _rank(pid):
    with open(f'/proc/{pid}/environ') as file:
        return dict(x.partition('=')[::2] for x in file.read().split('\0') if '=' in x).get('RANK')


def test_a_missing_node_is_awaited_for_a_stated_time():
    begin = time.time()
    run = start('dist_train.sh', CONFIG, 1, env={'NNODES': '2', 'NODE_RANK': '0', 'JOIN_TIMEOUT': '3'})
    printed = run.communicate(timeout=100)[0]
    assert run.returncode != 0 and time.time() - begin < 60
    assert 'node 0 waits for 2 nodes at 127.0.0.1:' in printed and 'at most 3 s' in printed
