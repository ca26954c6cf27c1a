"""Theorems and gradients of MSDF's fusion."""

import math

import pytest
import torch

from hetkd.functional import msdf_fuse

STAGES, SAMPLES, CLASSES = SHAPE = 4, 3, 5


def scores(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def test_value_equals_the_loops():
    logits, gate = scores(*SHAPE), scores(*SHAPE, seed=1)
    got = msdf_fuse(logits, gate)
    for n in range(SAMPLES):
        for c in range(CLASSES):
            exps = [math.exp(gate[i, n, c].item()) for i in range(STAGES)]
            weights = [e / sum(exps) for e in exps]
            fused = sum(w * logits[i, n, c].item() for i, w in enumerate(weights))
            assert got.weights[:, n, c].tolist() == pytest.approx(weights, rel=1e-12)
            assert got.logits[n, c].item() == pytest.approx(fused, rel=1e-12, abs=1e-15)


def test_weights_of_the_stages_sum_to_1_for_every_sample_and_class():
    weights = msdf_fuse(scores(*SHAPE), 3 * scores(*SHAPE, seed=1)).weights
    assert weights.shape == SHAPE and weights.min() > 0
    assert torch.allclose(weights.sum(0), torch.ones(SAMPLES, CLASSES, dtype=weights.dtype), rtol=1e-12)


def test_equal_gates_give_the_mean_of_the_stages():
    logits = scores(*SHAPE)
    gate = scores(1, SAMPLES, CLASSES, seed=1).expand(SHAPE)
    assert torch.allclose(msdf_fuse(logits, gate).logits, logits.mean(0), rtol=1e-12)


@pytest.mark.parametrize('stage', range(STAGES))
def test_a_gate_that_prefers_one_stage_gives_its_logits(stage):
    logits, gate = scores(*SHAPE), torch.zeros(SHAPE, dtype=torch.float64)
    gate[stage] = 200
    assert torch.allclose(msdf_fuse(logits, gate).logits, logits[stage], rtol=1e-12)


def test_one_stage_is_passed_through():
    logits = scores(1, SAMPLES, CLASSES)
    assert torch.equal(msdf_fuse(logits, scores(1, SAMPLES, CLASSES, seed=1)).logits, logits[0])


def test_order_of_the_stages_does_not_matter():
    logits, gate = scores(*SHAPE), scores(*SHAPE, seed=1)
    assert torch.allclose(msdf_fuse(logits.flip(0), gate.flip(0)).logits, msdf_fuse(logits, gate).logits)


def test_each_sample_and_class_has_its_own_weights():
    logits, gate = scores(*SHAPE), scores(*SHAPE, seed=1)
    changed = gate.clone()
    changed[0, 1, 2] += 1
    moved = msdf_fuse(logits, changed).logits != msdf_fuse(logits, gate).logits
    assert moved.nonzero().tolist() == [[1, 2]]


def test_gradcheck_of_logits_and_gate():
    inputs = scores(2, 2, 3).requires_grad_(), scores(2, 2, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda *args: msdf_fuse(*args).logits, inputs)


def test_gates_of_200_stay_finite_in_float32():
    logits = scores(*SHAPE, dtype=torch.float32).requires_grad_()
    gate = (200 * scores(*SHAPE, seed=1, dtype=torch.float32).sign()).requires_grad_()
    fused = msdf_fuse(logits, gate).logits
    fused.sum().backward()
    assert fused.isfinite().all() and logits.grad.isfinite().all() and gate.grad.isfinite().all()
