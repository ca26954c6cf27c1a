"""The demo with few epochs."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize('model', ['vit', 'vim'])
def test_the_demo_trains_compares_draws_and_exports(model, tmp_path):
    command = [sys.executable, str(ROOT / 'demo/digits.py'), '--work-dir', str(tmp_path)]
    command += ['--model', model, '--seeds', '1', '--epochs', '2']
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / 'students/compare.md').read_text()
    assert table in done.stdout and 'teacher: last top-1' in done.stdout
    for method in ('scratch', 'kd', 'ofa', 'mldrkd', 'hcd'):
        assert f'| {method}/' in table
    assert (tmp_path / 'students/compare.png').read_bytes().startswith(b'\x89PNG')
    assert (tmp_path / 'student.pth').exists()
