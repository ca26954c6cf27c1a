"""hetkd.distill, and the console command."""

import json
import sys
from pathlib import Path

import pytest

import hetkd
from hetkd.apis.commands import main, tools
from hetkd.errors import UserError
from tests.conftest import ROOT

from .conftest import SMALL


def test_one_call_trains_teacher_and_student_and_exports(folder, capfd):
    rest = {**SMALL, 'default_hooks.teacher_check.allow_chance': True}
    call = dict(
        student='test_resnet', teacher='test_vit', data='my_images', size=32, epochs=2, pretrained=False
    )
    options = {key: value for key, value in rest.items() if 'max_epochs' not in key}
    done = hetkd.distill(**call, method='hcd', out='student.onnx', work_dir='runs', options=options)
    said = capfd.readouterr()
    said = said.out + said.err
    assert 'learns from labels alone' in said and 'HCD: ResNet' in said
    assert json.loads(Path('student.onnx.json').read_text())['classes'] == ['dark', 'light']
    assert done.teacher == 'runs/teacher/epoch_2.pth' and done.checkpoint == 'runs/student/epoch_2.pth'
    assert Path(done.checkpoint).is_file() and 0 <= done.accuracy <= 100
    written = [Path(x).stat().st_mtime_ns for x in (done.teacher, done.checkpoint)]
    assert hetkd.distill(**call, method='hcd', work_dir='runs', options=options) == done
    assert [Path(x).stat().st_mtime_ns for x in (done.teacher, done.checkpoint)] == written, 'nothing to do'
    early = dict(type='EarlyStoppingHook', monitor='accuracy/top1', min_delta=100.0, patience=1)
    call, options = {**call, 'epochs': 9}, {**options, 'custom_hooks': [early]}
    alone = hetkd.distill(**call, method='scratch', work_dir='alone', options=options)
    assert alone.teacher is None and not Path('alone/teacher').exists()
    assert alone.checkpoint == 'alone/student/epoch_2.pth' and Path(alone.checkpoint).is_file()


def test_what_distill_cannot_export_is_refused_before_it_trains(folder):
    with pytest.raises(UserError, match=r"out: expected a file \*.pth or \*.onnx or \*.pt2, got 'x.tflite'"):
        hetkd.distill('test_resnet', 'test_vit', 'my_images', out='x.tflite', work_dir='runs')
    assert not Path('runs').exists()


@pytest.fixture
def console(monkeypatch):
    """The console command, which leaves ``sys.argv`` as it was."""
    monkeypatch.setattr(sys, 'argv', ['hetkd'])
    return main


def test_the_console_command_runs_each_tool_by_its_name(console, capsys):
    console([])
    shown = capsys.readouterr().out
    assert {'train', 'test', 'compare', 'export', 'preflight'} < set(tools())
    assert all(f'\n  {name} ' in shown for name in tools())
    assert 'Train a student with a teacher, or a net on labels alone' in shown
    console(['print_config', str(ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'), '--method', 'kd'])
    assert "type='KDLoss'" in capsys.readouterr().out
    with pytest.raises(
        SystemExit, match="hetkd: error: expected the name of a tool, got 'trian'; nearest: train"
    ):
        console(['trian'])
    with pytest.raises(SystemExit, match='hetkd train: error: config: expected a config file'):
        console(['train', 'nowhere.py'])
