"""Grad-CAM on stage maps."""

import pytest
import torch

from hetkd.functional import grad_cam
from hetkd.functional.grad_cam import stage_gradient
from hetkd.registry import MODELS
from hetkd.testing import MICRO_FAMILIES, micro_net


def output_of(family):
    net = MODELS.build(micro_net(family, checkpoint='random')).eval().requires_grad_(False)
    inputs = torch.randn(2, 3, 32, 32, requires_grad=True)
    return net(inputs, stages=True)


def test_of_a_map_on_the_way_it_is_the_papers_formula():
    stage = torch.randn(2, 3, 4, 4, requires_grad=True)
    used = stage * 1.0
    score = (used * torch.randn(3, 1, 1)).sigmoid().sum((1, 2, 3))
    (gradient,) = torch.autograd.grad(score.sum(), used, retain_graph=True)
    expected = torch.zeros(2, 4, 4)
    for n in range(2):
        for k in range(3):
            expected[n] += gradient[n, k].mean() * used[n, k].detach()
    expected = expected.relu()
    expected /= expected.amax((1, 2), keepdim=True)
    torch.testing.assert_close(grad_cam(used, score), expected)


def test_a_map_cut_from_tokens_gets_the_gradient_of_its_tokens():
    tokens = (torch.randn(2, 10, 5, requires_grad=True) * 1.0).requires_grad_()
    stage = tokens[:, 1:].transpose(1, 2).reshape(2, 5, 3, 3).contiguous()
    score = tokens.square().sum((1, 2))  # continues with the tokens, not with the map
    torch.testing.assert_close(stage_gradient(stage, score), 2 * stage.detach())


@pytest.mark.parametrize('family', MICRO_FAMILIES)
def test_every_family_has_a_map_at_some_stage(family):
    output = output_of(family)
    cams = [grad_cam(stage, output.logits[:, 3]) for stage in output.stages]
    for cam, stage in zip(cams, output.stages):
        assert cam.shape == (2, *stage.shape[2:]) and cam.min() >= 0 and cam.max() <= 1
    assert any(cam.flatten(1).amax(1).eq(1).all() for cam in cams)


@pytest.mark.parametrize('family', ['vit', 'vim'])
def test_the_last_patch_tokens_do_not_matter_to_a_class_token(family):
    output = output_of(family)
    assert not grad_cam(output.stages[-1], output.logits[:, 0]).any()
    assert stage_gradient(output.stages[-2], output.logits[:, 0]).abs().max() > 0


def test_a_stage_of_vim_is_the_stream_that_the_rest_of_the_net_reads():
    torch.manual_seed(0)
    net = MODELS.build(micro_net('vim')).eval()
    model, images = net.model, torch.randn(2, 3, *net.probe_size)
    (stage,), embedding = model.features(images.requires_grad_(), [1])
    gradient = stage_gradient(stage, model.classify(embedding)[:, 3])
    rows, columns = stage.shape[2:]
    kept = {}
    model.layers[2].register_forward_pre_hook(lambda _, args: kept.update(stream=args[1]))
    model.features(images, [1])
    stream = kept['stream'].detach().requires_grad_()
    hidden, residual = model.layers[2](None, stream)
    for block in model.layers[3:]:
        hidden, residual = block(hidden, residual)
    middle = rows * columns // 2
    score = model.classify(model.norm_f(residual + hidden)[:, middle])[:, 3]
    (expected,) = torch.autograd.grad(score.sum(), stream)
    expected = torch.cat([expected[:, :middle], expected[:, middle + 1 :]], 1)
    torch.testing.assert_close(gradient, expected.mT.unflatten(2, (rows, columns)))
