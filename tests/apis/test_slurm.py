"""Runs of a comparison in slurm's jobs, with stand-ins for sbatch, srun and sacct."""

import os
import re
import sys
from threading import Event, Thread

import pytest

from hetkd.apis.cell import Cell
from hetkd.errors import UserError
from tests.conftest import ROOT

CONFIG = ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
SBATCH = """#!/bin/sh
cp "$1" "{folder}/script"
for task in 0 1; do
    (sleep 1; export SLURM_JOB_ID=$((8 + task)) SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task
        SUBMITIT_EXECUTOR=slurm {python} -m submitit.core._submit {folder}/slurm) > {folder}/job$task 2>&1 &
done
echo Submitted batch job 7
"""


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """Two runs whose training is a line of Python, on a machine with slurm."""
    pytest.importorskip('submitit')
    programs = dict(
        sbatch=SBATCH.format(folder=tmp_path, python=sys.executable), srun='', sacct='#!/bin/sh\n'
    )
    for name, text in programs.items():
        path = tmp_path / 'bin' / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}/bin:{os.environ["PATH"]}')
    tools = tmp_path / 'tools'
    tools.mkdir()
    (tools / 'train.py').write_text('import sys; sys.exit("seed=1" in str(sys.argv))')
    return [Cell(CONFIG, seed, tmp_path / 'all', tools, gpus=1, method='scratch') for seed in (0, 1)]


def test_an_array_job_has_an_element_a_run_and_leaves_its_state(cells, tmp_path):
    from hetkd.apis.slurm import ArrayJob

    array = ArrayJob(cells, tmp_path / 'slurm', 'fast', at_once=2, hours=3)
    script = (tmp_path / 'script').read_text()
    for flag in ('partition=fast', 'time=180', 'array=0-1%2', 'gpus-per-node=1', 'cpus-per-task=5'):
        assert re.search(rf'#SBATCH --{flag}\n', script), script
    for cell in cells:
        array.wait(cell, Event())
    assert [cell.state['status'] for cell in cells] == ['done', 'crashed']
    assert 'exit status 1' in cells[1].state['reason']


def test_a_run_without_a_gpu_asks_for_none(cells, tmp_path):
    from hetkd.apis.slurm import ArrayJob

    for cell in cells:
        cell.gpus = 0
    array = ArrayJob(cells, tmp_path / 'slurm', 'cpus', at_once=2, hours=3)
    script = (tmp_path / 'script').read_text()
    assert 'gpus' not in script and '#SBATCH --cpus-per-task=5\n' in script
    array.wait(cells[0], Event())
    assert cells[0].state['status'] == 'done'


def test_a_job_that_never_ran_its_run_says_where_to_look(cells, tmp_path):
    from hetkd.apis.slurm import ArrayJob

    job = tmp_path / 'bin/sbatch'
    job.write_text(re.sub(r'(?s)for task.*done', '', job.read_text()))
    array = ArrayJob(cells, tmp_path / 'slurm', 'fast', at_once=2, hours=3)
    array.jobs[cells[0].folder].done = lambda: True
    array.wait(cells[0], Event())
    state = cells[0].state
    assert state['status'] == 'missing' and re.match(r'its job has ended; see .*\.err', state['reason'])


def test_a_job_at_its_limit_stops_its_run_and_asks_for_another(cells, tmp_path):
    from hetkd.apis.slurm import Run

    one = cells[0]
    (one.tools / 'train.py').write_text('import time; print("begun", flush=True); time.sleep(60)')
    run = Run(one)
    run.stop = Event()
    run.thread = Thread(target=one.run, args=(run.stop,))
    run.thread.start()
    again = run.checkpoint()
    assert one.state['status'] == 'missing' and one.state['reason'] == 'interrupted'
    assert again.function.cell is one


def test_without_submitit_the_fix_is_named(cells, tmp_path, monkeypatch):
    from hetkd.apis.slurm import ArrayJob

    monkeypatch.setitem(sys.modules, 'submitit', None)
    with pytest.raises(UserError, match=r'--slurm: expected the package submitit, got none; pip install'):
        ArrayJob(cells, tmp_path / 'slurm', 'fast', 1, 1)
