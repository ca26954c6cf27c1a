"""Precision of products, cuDNN's choice and cuBLAS's workspace, as a run sets them."""

import os

import pytest
import torch


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Leave torch as it was."""
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG', raising=False)
    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', False)
    monkeypatch.setattr(torch.backends.cudnn, 'deterministic', False)
    precision = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(precision)
    torch.use_deterministic_algorithms(False)
    os.environ.pop('CUBLAS_WORKSPACE_CONFIG', None)


def test_products_are_in_float32_and_cudnn_chooses_by_timing(runner_of):
    torch.set_float32_matmul_precision('high')
    runner_of('kd')
    assert torch.get_float32_matmul_precision() == 'highest' and torch.backends.cudnn.benchmark
    assert 'CUBLAS_WORKSPACE_CONFIG' not in os.environ
    runner_of('kd', env_cfg__matmul_precision='high')
    assert torch.get_float32_matmul_precision() == 'high'


def test_a_deterministic_run_has_a_workspace_and_no_timing(runner_of, capsys):
    runner_of('kd', randomness=dict(seed=0, deterministic=True))
    assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == ':4096:8'
    assert 'is going to be set' not in capsys.readouterr().out, "mmengine's warning about the default"
