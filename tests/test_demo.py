"""The demo with few epochs and two methods; that each method trains on the digits is tested elsewhere."""

import sys

import pytest

from demo import digits
from tests import preloaded


@pytest.mark.parametrize('model, methods', [('vit', ('scratch', 'mldrkd')), ('vim', ('mldrkd',))])
def test_the_demo_trains_compares_draws_and_exports(model, methods, tmp_path, monkeypatch, capfd):
    tool = digits.tool
    # Two threads would wait for each other on a machine that runs other tests.
    monkeypatch.setattr(digits, 'tool', lambda *args, threads=1, **options: tool(*args, **options))
    monkeypatch.setattr(digits, 'METHODS', methods)
    monkeypatch.setattr(sys, 'executable', preloaded.python())
    flags = ['--model', model, '--work-dir', str(tmp_path), '--seeds', '1', '--epochs', '2']
    monkeypatch.setattr(sys, 'argv', ['digits.py', *flags])
    digits.main()
    printed, table = capfd.readouterr().out, (tmp_path / 'students/compare.md').read_text()
    assert table in printed and 'teacher: last top-1' in printed
    assert [x for x in ('scratch', 'kd', 'ofa', 'mldrkd', 'hcd') if f'| {x}/' in table] == list(methods)
    assert (tmp_path / 'students/compare.png').read_bytes().startswith(b'\x89PNG')
    assert (tmp_path / 'student.pth').exists()
