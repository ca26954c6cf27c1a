"""The demo, cut down."""

import subprocess
import sys

from tests.conftest import ROOT


def test_the_demo_trains_compares_draws_and_exports(tmp_path):
    command = [sys.executable, str(ROOT / 'demo/digits.py'), '--work-dir', str(tmp_path)]
    command += ['--seeds', '1', '--epochs', '2']
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / 'table.txt').read_text()
    assert table in done.stdout
    for row in ('teacher (ViT)', 'student, labels only', 'student, KD', 'student, MLDR-KD', 'student, HCD'):
        assert row in table
    for picture in ('accuracy.png', 'curves.png'):
        assert (tmp_path / picture).read_bytes().startswith(b'\x89PNG')
    assert (tmp_path / 'student.pth').exists()
