"""Shared fixtures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope, init_default_scope
from mmpretrain.structures import DataSample

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def scope():
    """The default scope that a runner would set, one thread, and a fixed seed."""
    init_default_scope('hetkd')
    torch.manual_seed(0)
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture
def batch():
    """Four normalised 32 px images and their samples with labels of ten classes."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4, 3, 32, 32, generator=generator)
    labels = (3, 1, 4, 1)
    return inputs, [DataSample(metainfo=dict(sample_idx=i)).set_gt_label(y) for i, y in enumerate(labels)]


def tool_command(name, *args, env=None):
    """Command and environment of a file of tools/, as a user would run it."""
    environ = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable}
    interpreter = 'bash' if name.endswith('.sh') else sys.executable
    return [interpreter, str(ROOT / 'tools' / name), *map(str, args)], {**environ, **(env or {})}


def tool_runner(name, *args, check=True, env=None):
    """Run it to its end; fails the test where it fails."""
    command, environ = tool_command(name, *args, env=env)
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=600)
    if check and done.returncode:
        pytest.fail(f'{" ".join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}')
    return done


@pytest.fixture
def run_tool():
    """See :func:`tool_runner`."""
    return tool_runner


@pytest.fixture(scope='session')
def tiny_teacher(tmp_path_factory):
    """Weight file of the digits' teacher with random weights."""
    from mmengine.config import Config

    from hetkd.registry import MODELS

    init_default_scope('hetkd')
    teacher = Config.fromfile(ROOT / 'configs/_base_/teachers/vit-micro_digits.py').teacher
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    torch.save(MODELS.build(dict(teacher, checkpoint='random')).model.state_dict(), path)
    return path
