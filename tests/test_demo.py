"""The demo with few epochs."""

import subprocess
import sys

from tests.conftest import ROOT

SHORT = ['--seeds', '1', '--epochs', '2']
METHODS = ('scratch', 'kd', 'ofa', 'mldrkd', 'hcd')


def check(folder, printed, methods):
    table = (folder / 'students/compare.md').read_text()
    assert table in printed and 'teacher: last top-1' in printed
    assert [x for x in METHODS if f'| {x}/' in table] == list(methods)
    assert (folder / 'students/compare.png').read_bytes().startswith(b'\x89PNG')
    assert (folder / 'student.pth').exists()


def test_the_demo_trains_compares_draws_and_exports(tmp_path):
    command = [sys.executable, str(ROOT / 'demo/digits.py'), '--work-dir', str(tmp_path), *SHORT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    check(tmp_path, done.stdout, METHODS)


def test_a_vision_mamba_teaches_as_well(tmp_path, monkeypatch, capfd):
    from demo import digits

    monkeypatch.setattr(digits, 'METHODS', ('mldrkd',))  # the others differ in nothing that is Mamba's
    monkeypatch.setattr(sys, 'argv', ['digits.py', '--model', 'vim', '--work-dir', str(tmp_path), *SHORT])
    digits.main()
    check(tmp_path, capfd.readouterr().out, ['mldrkd'])
