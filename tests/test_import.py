"""Importing the package."""

import subprocess
import sys


def test_without_mmcv_the_error_names_both_ways_to_get_one():
    code = (
        'import importlib.util as u; find = u.find_spec\n'
        "u.find_spec = lambda name, *a: None if name == 'mmcv' else find(name, *a)\n"
        'import hetkd'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode
    assert 'pip install "hetkd[lite]"' in done.stderr and 'mim install' in done.stderr


def test_functional_needs_torch_only():
    code = 'import sys, hetkd.functional; print("mmengine" in sys.modules, "timm" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ['False', 'False']
