"""tools/compare.py: runs, resumes, reports."""

import argparse
import csv
import fcntl
import os
import re
import signal
import subprocess
import time

import pytest

from hetkd.apis.results import RunResult
from hetkd.errors import UserError
from tests.conftest import ROOT, tool_command
from tools import compare as compare_tool
from tools.compare import main, make_cells, parse_args, places, sentence, sweep_of

CELL = 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
NAME = 'vit-micro_cnn-micro_digits'
SCRATCH = [CELL, '--methods', 'scratch']
BOTH = [CELL, '--methods', 'scratch', 'kd']
KD = [CELL, '--methods', 'kd']


@pytest.fixture
def compare(tmp_path, run_tool, tiny_teacher):
    """Run it for two epochs of one seed, unless told otherwise; and its table."""

    def run(*args, options=(), **kwargs):
        short = [
            'train_cfg.max_epochs=2',
            'train_cfg.val_interval=1',
            f'model.teacher.checkpoint={tiny_teacher}',
        ]
        args = [*args, '--work-dir', tmp_path / 'all', '--cfg-options', *short, *options]
        return run_tool('compare.py', *args, **kwargs)

    return run


def rows(tmp_path):
    with open(tmp_path / 'all/compare.csv') as file:
        return {(row['config'], row['seed']): row for row in csv.DictReader(file)}


def test_a_comparison_runs_all_and_the_second_time_only_what_is_missing(compare, tmp_path):
    printed = compare(*BOTH, '--seeds', '1', '--jobs', '2').stdout
    assert '2 runs, 2 to do' in printed and '[2/2]' in printed and 's left' in printed
    done = compare(ROOT / CELL, *SCRATCH, '--seeds', '1', '--metric', 'acc', check=False)
    assert done.returncode and '1 runs, 0 to do' in done.stdout, 'one file under two names is one run'
    assert "no 'acc' in its results; --metric may be one of ['accuracy/top1'" in done.stdout
    compare(*BOTH, '--seeds', '1')
    table = (tmp_path / 'all/compare.md').read_text()
    assert table in printed and '| 1 of 1 |' in table and 'MiB' in table
    assert (tmp_path / 'all/compare.png').read_bytes().startswith(b'\x89PNG')
    first = rows(tmp_path)
    assert {key[0] for key in first} == {f'scratch/{NAME}', f'kd/{NAME}'}
    for row in first.values():
        assert row['status'] == 'done' and row['epochs'] == '2' and float(row['best']) >= float(row['last'])

    printed = compare(*BOTH, '--seeds', '2').stdout
    assert '4 runs, 2 to do' in printed
    second = rows(tmp_path)
    assert len(second) == 4 and all(second[key] == first[key] for key in first)

    done = compare(*BOTH, '--seeds', '1', options=['ce_weight=1'], check=False)
    assert done.returncode, 'an unknown key is a crash'
    done = compare(*SCRATCH, '--seeds', '1', options=['optim_wrapper.optimizer.lr=1'], check=False)
    assert done.returncode and 'got one of other settings; choose another --work-dir' in done.stderr


def test_a_sweep_has_a_row_for_each_value_beside_the_student_alone(compare, tmp_path):
    printed = compare(*BOTH, '--seeds', '1', '--sweep', 'model.ce_weight=1,0.5').stdout
    assert '3 runs, 3 to do' in printed and 'accuracy/top1' in printed
    names = [f'scratch/{NAME}', f'kd/{NAME}/model.ce_weight=1', f'kd/{NAME}/model.ce_weight=0.5']
    assert [key[0] for key in rows(tmp_path)] == names
    for name, weight in zip(names[1:], ('1', '0.5')):
        assert f'ce_weight={weight}' in (tmp_path / 'all' / name / f'seed0/{NAME}.py').read_text()
    table = (tmp_path / 'all/compare.md').read_text()
    assert 'gain over scratch' in table and 'gain over teacher' in table and table.count('(one seed)') == 4
    assert (tmp_path / 'all/compare.tex').read_text().startswith(r'\begin{tabular}')
    done = compare(*KD, '--sweep', 'model.ce_weight', check=False)
    assert done.returncode and "--sweep: expected KEY=1,2,4, got 'model.ce_weight'" in done.stderr
    with pytest.raises(argparse.ArgumentTypeError, match='expected KEY=1,2,4'):
        sweep_of('data_preprocessor.mean=[1,2,3],[4,5,6]')


def test_values_whose_folders_would_be_one_are_refused(tmp_path):
    args = [str(ROOT / CELL), '--methods', 'scratch', '--work-dir', str(tmp_path), '--sweep']
    values = 'train_dataloader.dataset.data_root=a/b,a-b'
    with pytest.raises(UserError, match='names that differ, got .*data_root=a-b twice'):
        make_cells(parse_args([*args, values]))


def test_what_the_student_alone_has_too_is_varied_for_it_as_well(tmp_path):
    args = [str(ROOT / CELL), '--methods', 'scratch', 'kd', '--seeds', '1', '--work-dir', str(tmp_path)]
    keys = ['model.label_loss.label_smoothing=0,0.2', 'model.teacher.compile=False,True']
    names = [x.name for x in make_cells(parse_args([*args, '--sweep', *keys]))]
    smoothing = [f'model.label_loss.label_smoothing={x}' for x in ('0', '0.2')]
    assert names[:2] == [f'scratch/{NAME}/{x}' for x in smoothing] and len(names) == 6


@pytest.mark.parametrize('flag', ['--sweep', '--cfg-options'])
def test_a_seed_is_no_setting(flag, tmp_path):
    args = [str(ROOT / CELL), '--work-dir', str(tmp_path), flag, 'randomness.seed=3']
    with pytest.raises(UserError, match='randomness.seed: expected no seed among the settings.*--seeds N'):
        make_cells(parse_args(args))


@pytest.mark.parametrize(
    'seen, jobs, gpus, expected',
    [
        ('0,1,2', 2, 1, ['0', '1']),
        ('3,5', 3, 1, ['3', '5', '3']),
        ('0,1,2,3,4', 2, 2, ['0,1', '2,3']),
        ('GPU-a,GPU-b', 1, 2, ['GPU-a,GPU-b']),
        ('0', 2, 2, [None, None]),
    ],
)
def test_each_run_has_gpus_of_its_own(seen, jobs, gpus, expected, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', seen)
    assert places(jobs, gpus) == expected
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.setattr('torch.cuda.device_count', lambda: 0)
    assert places(jobs, gpus) == [None] * jobs


def test_runs_without_a_gpu_see_none(monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0,1')
    assert places(2, 0) == ['', '']
    args = compare_tool.parse_args([str(ROOT / CELL), '--seeds', '1', '--gpus', '0'])
    (one,) = compare_tool.make_cells(args)
    assert one.gpus == 0 and one.threads == (os.cpu_count() or 1)


@pytest.mark.parametrize('status, end', [('crashed', 'crashed'), ('missing', 'have not finished')])
def test_slurm_trains_in_an_array_job(status, end, tmp_path, monkeypatch, capsys):
    seen = []

    class Stub:
        def __init__(self, cells, *args):
            seen.append((len(cells), *args))

        def wait(self, cell, stop):
            cell.state |= dict(status=status, reason='by the stub')

    monkeypatch.setattr(compare_tool, 'ArrayJob', Stub)
    args = [
        str(ROOT / CELL),
        '--methods',
        'scratch',
        '--seeds',
        '2',
        '--jobs',
        '2',
        '--work-dir',
        str(tmp_path),
    ]
    with pytest.raises(SystemExit, match=f'2 of 2 runs {end}'):
        compare_tool.main([*args, '--slurm', 'fast', '--slurm-hours', '3'])
    assert seen == [(2, tmp_path / 'slurm', 'fast', 2, 3)] and 'by the stub' in capsys.readouterr().out


@pytest.mark.parametrize(
    'result, text',
    [
        (dict(status='done', curve={1: 71.234}), 'accuracy/top1 71.23 after 46 s'),
        (dict(status='crashed', reason='out of memory'), 'crashed after 46 s: out of memory'),
        (dict(status='missing', reason='interrupted'), 'not finished after 46 s: interrupted'),
    ],
)
def test_the_end_of_a_run_is_a_sentence(result, text):
    assert sentence(RunResult('kd/a', 0, seconds=46, **result), 'accuracy/top1') == text


def test_a_method_that_there_is_not_is_refused_before_anything_is_trained(tmp_path):
    args = [str(ROOT / CELL), '--methods', 'scratch', 'kdd', '--work-dir', str(tmp_path / 'runs')]
    with pytest.raises(UserError, match='--method: expected one of'):
        main(args)
    assert not (tmp_path / 'runs').exists()


def test_a_crashed_run_is_reported_and_stops_nothing(compare, tmp_path):
    bad = tmp_path / 'mine/bad.py'
    bad.parent.mkdir()
    bad.write_text(f"_base_ = ['{ROOT / CELL}']\nload_from = 'nowhere.pth'\n")
    typo = tmp_path / 'mine/typo.py'
    typo.write_text(f"_base_ = ['{ROOT / CELL}']\nmodle = dict()\n")
    done = compare(bad, typo, CELL, '--seeds', '1', check=False)
    assert done.returncode and '2 of 3 runs crashed; rerun the same command to try them again' in done.stderr
    found = {key[0]: row for key, row in rows(tmp_path).items()}
    assert found[f'mldrkd/{NAME}']['status'] == 'done'
    assert found['mine/bad']['status'] == 'crashed' and found['mine/bad']['reason'].startswith(
        'weight file: expected a file at'
    )
    assert 'modle' in found['mine/typo']['reason'], 'a config that cannot be read'
    assert 'nowhere.pth' in (tmp_path / 'all/compare.md').read_text()
    bad.write_text(f"_base_ = ['{ROOT / CELL}']\n")
    done = compare(bad, '--seeds', '1', check=False)
    assert done.returncode and 'delete this folder to run it again' in done.stderr


def test_an_interrupted_run_is_resumed(tmp_path, tiny_teacher, run_tool):
    options = ['train_cfg.max_epochs=60', 'train_cfg.val_interval=60', 'default_hooks.checkpoint.interval=1']
    options += [f'model.teacher.checkpoint={tiny_teacher}']
    args = [*KD, '--seeds', '1', '--work-dir', tmp_path / 'all', '--cfg-options', *options]
    command, env = tool_command('compare.py', *args)
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / 'all/kd/vit-micro_cnn-micro_digits/seed0'
    deadline = time.time() + 120
    while not (folder / 'epoch_3.pth').exists():
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode and 'interrupted; rerun the same command to continue' in errors
    assert rows(tmp_path)['kd/vit-micro_cnn-micro_digits', '0']['status'] == 'missing'
    before = float(rows(tmp_path)['kd/vit-micro_cnn-micro_digits', '0']['seconds'])
    with open(folder / 'output.log', 'a') as log:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        done = run_tool('compare.py', *args, check=False)
        assert done.returncode and '1 of 1 runs are trained by another comparison; rerun' in done.stderr
        assert rows(tmp_path)['kd/vit-micro_cnn-micro_digits', '0']['status'] == 'missing'
    run_tool('compare.py', *args)
    row = rows(tmp_path)['kd/vit-micro_cnn-micro_digits', '0']
    assert row['status'] == 'done' and row['epochs'] == '60' and float(row['seconds']) > before
    assert re.search(r'resumed .*: epoch \d', (folder / 'output.log').read_text())


def test_several_processes_a_run_and_several_runs_at_a_time(compare, tmp_path):
    compare(*SCRATCH, '--seeds', '2', '--gpus', '2', '--jobs', '2')
    assert [row['status'] for row in rows(tmp_path).values()] == ['done', 'done']
    done = compare(*SCRATCH, '--seeds', '1', check=False)
    assert done.returncode and 'got one of other settings' in done.stderr, 'one process is another batch'
    (log,) = (tmp_path / f'all/scratch/{NAME}/seed0').glob('*/*.log')
    assert 'Distributed training: True' in log.read_text()


def test_two_configs_of_one_name_and_counts_below_one_are_refused(compare, tmp_path):
    twin = tmp_path / f'mldrkd/{NAME}.py'
    twin.parent.mkdir()
    twin.write_text(f"_base_ = ['{ROOT / CELL}']\n")
    done = compare(CELL, twin, check=False)
    assert done.returncode and f'expected names that differ, got mldrkd/{NAME} twice' in done.stderr
    done = compare(*SCRATCH, '--seeds', '0', check=False)
    assert done.returncode and '--seeds: expected >= 1, got 0' in done.stderr
