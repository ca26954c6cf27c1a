"""tools/benchmarks/gpu.py, rehearsed on a CPU."""

import json
import sys
from unittest.mock import Mock

import pytest

from tests import preloaded
from tests.conftest import ROOT

PARTS = {
    'tests', 'scan_plain', 'scan_kernel', 'nccl', 'teacher', 'scratch', 'kd', 'ofa', 'mldrkd', 'hcd',
    'step_float32', 'step_bfloat16', 'step_float16', 'step_compiled', 'losses', 'input',
}  # fmt: skip


@pytest.fixture
def gpu(monkeypatch):
    """The tool; it counts its commands, and nothing is really compiled."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools/benchmarks'))
    monkeypatch.setenv('TORCH_COMPILE_DISABLE', '1')
    import gpu

    monkeypatch.setattr(gpu, 'execute', Mock(wraps=gpu.execute))
    monkeypatch.setattr(sys, 'executable', preloaded.python())
    yield gpu
    for name in ('gpu', 'measure'):
        sys.modules.pop(name, None)


def test_each_part_leaves_its_json_and_a_second_call_does_what_is_missing(gpu, tmp_path, capsys):
    gpu.main(['--tiny', '--minutes', '4', '--out', str(tmp_path)])  # a hanging part is named
    table = capsys.readouterr().out
    reports = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob('*.json')}
    assert reports.keys() == PARTS and 'missing' not in table
    assert 'mamba-ssm' in reports['scan_kernel']['skipped']
    assert 'skipped' in reports['tests']['result'], 'tests of a GPU, without one'
    for method in ('scratch', 'kd', 'ofa', 'mldrkd', 'hcd'):
        record = reports[method]['result']
        assert record['finished'] and record['last']['epoch'] == 2
        assert ('teacher/agreement' in record['metrics']['2']) == (method != 'scratch')
        assert f'| {method} |' in table
    assert reports['step_bfloat16']['result']['amp'] == 'bfloat16'
    assert reports['step_compiled']['result']['options'] == {
        'model.student.compile': True, 'model.teacher.compile': True,
    }  # fmt: skip
    assert {x['loss'] for x in reports['losses']['result']['rows']} == {'kd', 'rkd'}
    gpu.execute.reset_mock()
    (tmp_path / 'losses.json').unlink()
    gpu.main(['--tiny', '--out', str(tmp_path)])
    assert gpu.execute.call_count == 1 and (tmp_path / 'losses.json').exists()


def test_what_fails_or_has_no_time_left_is_named(gpu, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, 'execute', lambda command, *_: 1 if 'losses.py' in command[1] else None)
    with pytest.raises(SystemExit, match='left to do: losses, input; rerun'):
        gpu.main(['--tiny', '--out', str(tmp_path), '--parts', 'losses', 'input'])
    seen = capsys.readouterr()
    assert 'losses: exit status 1' in seen.err and 'input: the time was over' in seen.err
    assert '| losses | | missing |' in seen.out and not (tmp_path / 'losses.json').exists()
    with pytest.raises(SystemExit):
        gpu.main(['--tiny', '--out', str(tmp_path), '--parts', 'lossses'])
    assert '--parts: expected some of tests, scan_plain' in capsys.readouterr().err


def test_it_asks_for_a_gpu(gpu, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu, 'DEVICE', 'cpu')
    with pytest.raises(SystemExit):
        gpu.main(['--out', str(tmp_path)])
    assert 'expected a GPU, got none; --tiny' in capsys.readouterr().err
