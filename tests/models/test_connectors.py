"""Shapes, sizes, initial values and theorems of the connectors."""

import math

import pytest
import torch
from torch import nn

from hetkd.errors import UserError
from hetkd.models.connectors import (
    AAD,
    MSDF,
    ContrastHead,
    OrthogonalProjector,
    SepConv,
    StageMatcher,
    StageProjector,
)
from hetkd.registry import MODELS

RESNET18, RESNET101, VIT = (64, 128, 256, 512), (256, 512, 1024, 2048), (48,) * 4
STRIDES, PATCHES = (4, 8, 16, 32), (16,) * 4
NARROW, P = (4, 8, 16, 32), 24


def maps(channels, sizes, batch=2):
    return [
        torch.randn(batch, c, *(size if isinstance(size, tuple) else (size, size)))
        for c, size in zip(channels, sizes)
    ]


def descriptors(stages):
    return [torch.randn(2, P) for _ in range(stages)]


def count(*modules):
    return sum(x.numel() for module in modules for x in module.parameters())


def assert_every_parameter_gets_a_gradient(module, output):
    """With random weights on the output, so that no sum cancels (a BN's output sums to its bias)."""
    sum((x * torch.randn_like(x)).sum() for x in output).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


# Separable convolution


@pytest.mark.parametrize('size, expected', [((8, 8), (4, 4)), ((17, 9), (9, 5)), ((1, 2), (1, 1))])
def test_sep_conv_halves_the_grid_rounding_up(size, expected):
    assert SepConv(4, 6)(torch.randn(2, 4, *size)).shape == (2, 6, *expected)


def test_sep_conv_is_two_separable_convolutions_of_which_the_first_strides():
    convs = [x for x in SepConv(4, 6) if isinstance(x, nn.Conv2d)]
    assert [(x.in_channels, x.out_channels, x.kernel_size[0], x.stride[0], x.groups) for x in convs] == [
        (4, 4, 3, 2, 4),
        (4, 4, 1, 1, 1),
        (4, 4, 3, 1, 4),
        (4, 6, 1, 1, 1),
    ]
    assert all(x.bias is None for x in convs)
    half = [nn.Conv2d, nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert [type(x) for x in SepConv(4, 6)] == half * 2


# Stage projector


@pytest.mark.parametrize(
    'channels, width, expected',
    [(RESNET18, 512, 1_439_172), (RESNET18, 768, 1_973_188), (RESNET101, 2048, 17_184_708)],
)
def test_projector_and_msdf_have_the_papers_parameter_count(channels, width, expected):
    projector = StageProjector(channels, STRIDES, width)
    fusion = MSDF(num_stages=4, in_channels=width, num_classes=100)
    assert count(projector, fusion) == expected


@pytest.mark.parametrize('pixels, sizes', [(64, (16, 8, 4, 2)), (65, (17, 9, 5, 3)), (33, (9, 5, 3, 2))])
def test_every_stage_lands_on_the_deepest_grid_with_p_channels(pixels, sizes):
    assert sizes == tuple(math.ceil(pixels / stride) for stride in STRIDES)
    projector, stages = StageProjector(NARROW, STRIDES, P), maps(NARROW, sizes)
    projected = [projection(x) for projection, x in zip(projector.projections, stages)]
    assert [x.shape for x in projected] == [(2, P, sizes[-1], sizes[-1])] * 4


def test_oblong_images_keep_their_form():
    projector, stages = StageProjector(NARROW, STRIDES, P), maps(NARROW, [(16, 24), (8, 12), (4, 6), (2, 3)])
    projected = [projection(x) for projection, x in zip(projector.projections, stages)]
    assert [x.shape for x in projected] == [(2, P, 2, 3)] * 4


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize(
    'channels, strides, sizes', [(NARROW, STRIDES, (17, 9, 5, 3)), (VIT, PATCHES, (7,) * 4)]
)
def test_a_descriptor_and_its_gradients_are_those_of_the_projected_map_averaged(
    channels, strides, sizes, bias
):
    """As the papers compute it, whichever is averaged first."""
    projector = StageProjector(channels, strides, P, final_bias=bias).double()
    stages = [x.double().requires_grad_() for x in maps(channels, sizes)]
    for projection in projector.projections:
        if bias and isinstance(projection[0], nn.Conv2d):
            nn.init.normal_(projection[0].bias)
    inputs = [*stages, *projector.parameters()]
    plain = torch.stack([p(x).flatten(2).mean(2) for p, x in zip(projector.projections, stages)])
    got = torch.stack(projector(stages))
    assert got.shape == (len(stages), 2, P)
    torch.testing.assert_close(got, plain)
    cotangent = torch.randn_like(plain)
    torch.testing.assert_close(
        torch.autograd.grad(got, inputs, cotangent), torch.autograd.grad(plain, inputs, cotangent)
    )


def test_a_1x1_convolution_runs_on_averages():
    """64 cells of a map for one: it would otherwise cost as much as a small student."""
    projector, cells = StageProjector(VIT, PATCHES, P), []
    for projection in projector.projections:
        projection[0].register_forward_hook(lambda module, args, out: cells.append(out[0, 0].numel()))
    projector(maps(VIT, (7,) * 4))
    assert cells == [1] * 4


def test_isotropic_net_gets_1x1_convolutions_without_bias_and_nothing_else():
    projector = StageProjector(VIT, PATCHES, P)
    leaves = [x for x in projector.modules() if not list(x.children())]
    assert len(leaves) == 4
    assert all(isinstance(x, nn.Conv2d) and x.kernel_size == (1, 1) and x.bias is None for x in leaves)
    assert [x.shape for x in projector(maps(VIT, (7,) * 4))] == [(2, P)] * 4


@pytest.mark.parametrize(
    'strides, blocks',
    [((4, 8, 16, 32), [3, 2, 1, 0]), ((8, 16, 32, 32), [2, 1, 0, 0]), ((14, 14), [0, 0]), ((4, 32), [3, 0])],
)
def test_number_of_blocks_is_log2_of_the_strides_ratio(strides, blocks):
    projector = StageProjector(NARROW[: len(strides)], strides, P)
    assert [sum(isinstance(x, SepConv) for x in p) for p in projector.projections] == blocks


def test_channels_double_with_each_block_and_the_last_gives_p():
    blocks = StageProjector(NARROW, STRIDES, P).projections[0]
    widths = [[x for x in block if isinstance(x, nn.Conv2d)] for block in blocks]
    assert [(x[0].in_channels, x[-1].out_channels) for x in widths] == [(4, 8), (8, 16), (16, P)]


def test_deepest_stage_is_linear_without_norm_or_activation():
    projection = StageProjector(NARROW, STRIDES, P).projections[-1]
    x = torch.randn(2, 32, 2, 2)
    assert torch.allclose(projection(-3 * x), -3 * projection(x), atol=1e-5)


@pytest.mark.parametrize(
    'channels, strides, sizes', [(NARROW, STRIDES, (17, 9, 5, 3)), (VIT, PATCHES, (3,) * 4)]
)
def test_every_projector_parameter_gets_a_gradient(channels, strides, sizes):
    projector = StageProjector(channels, strides, P)
    assert_every_parameter_gets_a_gradient(projector, projector(maps(channels, sizes, batch=4)))


@pytest.mark.parametrize('channels, strides', [((), ()), (NARROW, STRIDES[::-1]), ((4, 8, 16), (4, 16, 8))])
def test_projector_refuses_no_stages_and_stages_out_of_order(channels, strides):
    with pytest.raises(UserError, match='expected stages from shallow to deep') as error:
        StageProjector(channels, strides, P)
    assert str(list(channels)) in str(error.value) and str(list(strides)) in str(error.value)


# Initial values


def test_initial_values_of_projector_and_msdf():
    projector = StageProjector(RESNET18, STRIDES, 512)
    fusion = MSDF(num_stages=4, in_channels=512, num_classes=100)
    kinds = {nn.Conv2d: 0, nn.BatchNorm2d: 0, nn.Linear: 0}
    for module in (*projector.modules(), *fusion.modules()):
        if isinstance(module, nn.Conv2d):
            out, _, height, width = module.weight.shape
            std = math.sqrt(2 / (out * height * width))
            assert module.weight.std().item() == pytest.approx(std, rel=0.1)
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
        elif isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.02)
            assert (module.bias == 0).all()
        if type(module) in kinds:
            kinds[type(module)] += 1
    assert kinds == {nn.Conv2d: 25, nn.BatchNorm2d: 12, nn.Linear: 6}


def test_initial_values_of_stage_matcher():
    (conv,) = StageMatcher([128], [64]).convs
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / 64), rel=0.05)
    assert (conv.bias == 0).all()


# MSDF


@pytest.fixture
def msdf():
    return MSDF(num_stages=4, in_channels=P, num_classes=10)


def test_msdf_gives_stage_logits_fused_logits_and_weights(msdf):
    output = msdf(descriptors(4))
    assert output.stage_logits.shape == output.weights.shape == (4, 2, 10)
    assert output.fused.shape == (2, 10)
    assert torch.allclose(output.fused, (output.weights * output.stage_logits).sum(0), atol=1e-6)


def test_stage_logits_are_each_stages_own_head_on_its_descriptor(msdf):
    stages = descriptors(4)
    got = msdf(stages).stage_logits
    for head, x, logits in zip(msdf.heads, stages, got):
        expected = x @ head.weight.T + head.bias
        assert torch.allclose(logits, expected, atol=1e-6)


def test_one_gate_scores_every_stage(msdf):
    nn.init.normal_(msdf.gate[2].weight)  # an untrained gate is nearly flat
    stages = descriptors(4)
    first, activation, second = msdf.gate
    scores = torch.stack([second(activation(first(x))) for x in stages])
    expected = scores.exp() / scores.exp().sum(0)
    assert isinstance(activation, nn.GELU)
    assert torch.allclose(msdf(stages).weights, expected, atol=1e-6)
    assert msdf(stages).weights.std() > 0.01


def test_weights_sum_to_1_over_the_stages(msdf):
    nn.init.normal_(msdf.gate[2].weight)
    weights = msdf(descriptors(4)).weights
    assert torch.allclose(weights.sum(0), torch.ones(2, 10), atol=1e-6)


def test_equal_gates_give_the_mean_of_the_stage_logits(msdf):
    nn.init.zeros_(msdf.gate[2].weight)
    output = msdf(descriptors(4))
    assert torch.allclose(output.fused, output.stage_logits.mean(0), atol=1e-7)


@pytest.mark.parametrize('stage', range(4))
def test_gate_that_prefers_one_stage_gives_its_logits(msdf, stage):
    # The gate scores the mean of a descriptor; only the preferred stage's is far from 0.
    for layer in (msdf.gate[0], msdf.gate[2]):
        nn.init.constant_(layer.weight, 1.0)
    stages = [torch.zeros(2, P) for _ in range(4)]
    stages[stage] += 5 + torch.rand(2, P)
    for head in msdf.heads:
        nn.init.normal_(head.bias)
    output = msdf(stages)
    assert torch.allclose(output.fused, output.stage_logits[stage], atol=1e-6)
    assert not torch.allclose(output.fused, output.stage_logits[stage - 1], atol=1e-2)


@pytest.mark.parametrize('ratio', [2, 4])
def test_hidden_width_is_ratio_times_classes(ratio):
    fusion = MSDF(num_stages=3, in_channels=P, num_classes=10, hidden_ratio=ratio)
    assert [tuple(x.weight.shape) for x in (fusion.gate[0], fusion.gate[2])] == [
        (10 * ratio, P),
        (10, 10 * ratio),
    ]
    assert fusion(descriptors(3)).fused.shape == (2, 10)


def test_hidden_ratio_is_4_by_default(msdf):
    assert msdf.gate[0].out_features == 40


def test_every_msdf_parameter_gets_a_gradient(msdf):
    assert_every_parameter_gets_a_gradient(msdf, [msdf(descriptors(4)).fused])


# Stage matcher


@pytest.mark.parametrize(
    'sizes',
    [[(4, 4), (2, 2)], [(16, 16), (8, 8)], [(8, 8), (4, 4)], [(16, 2), (3, 9)]],
    ids=['coarser', 'finer', 'same', 'finer one way'],
)
def test_matcher_gives_the_teachers_shapes(sizes):
    matched = StageMatcher([4, 8], [6, 12])(maps([4, 8], [8, 4]), maps([6, 12], sizes))
    assert [x.shape for x in matched] == [(2, 6, *sizes[0]), (2, 12, *sizes[1])]


def test_matcher_averages_a_finer_map_down():
    matcher = StageMatcher([3], [3])
    nn.init.dirac_(matcher.convs[0].weight)
    x = torch.randn(1, 3, 8, 8)  # by 4: bilinear interpolation to a half is an average as well
    expected = x.reshape(1, 3, 2, 4, 2, 4).mean((3, 5))
    assert torch.allclose(matcher([x], maps([3], [2]))[0], expected, atol=1e-6)


@pytest.mark.parametrize('size', [(8, 8), (9, 2)])
def test_matcher_keeps_a_constant_map_constant(size):
    matcher = StageMatcher([3], [3])
    nn.init.dirac_(matcher.convs[0].weight)
    (matched,) = matcher([torch.full((1, 3, 4, 4), 2.5)], maps([3], [size]))
    assert torch.allclose(matched, torch.full((1, 3, *size), 2.5))


def test_matcher_on_the_same_grid_is_its_1x1_convolution():
    matcher, x = StageMatcher([3], [5]), torch.randn(2, 3, 4, 4)
    assert torch.equal(matcher([x], maps([5], [4]))[0], matcher.convs[0](x))


@pytest.mark.parametrize('count', [1, 2, 4])
def test_matcher_takes_any_number_of_pairs(count):
    widths, sizes = [4, 8, 16, 32][-count:], [(8, 8), (4, 4), (2, 2), (1, 1)][-count:]
    twice = [2 * x for x in widths]
    matched = StageMatcher(widths, twice)(maps(widths, sizes), maps(twice, sizes[::-1]))
    assert [x.shape for x in matched] == [(2, 2 * x, *size) for x, size in zip(widths, sizes[::-1])]


@pytest.mark.parametrize('student, teacher', [(2, 1), (1, 2)])
def test_matcher_refuses_stages_that_are_not_paired(student, teacher):
    with pytest.raises(UserError, match=f'got {student} and {teacher}; pair them first'):
        StageMatcher([4] * student, [6] * teacher)


def test_every_matcher_parameter_gets_a_gradient():
    matcher = StageMatcher([4, 8], [6, 12])
    matched = matcher(maps([4, 8], [8, 4]), maps([6, 12], [4, 8]))
    assert_every_parameter_gets_a_gradient(matcher, matched)


@pytest.mark.parametrize(
    'kind, options',
    [
        ('StageProjector', dict(channels=NARROW, strides=STRIDES, out_channels=P)),
        ('MSDF', dict(num_stages=4, in_channels=P, num_classes=10)),
        ('StageMatcher', dict(student_channels=[4], teacher_channels=[6])),
    ],
)
def test_connectors_are_registered(kind, options):
    assert type(MODELS.build(dict(type=kind, **options))).__name__ == kind


@pytest.mark.parametrize(
    'ratio, parameters',  # ResNet18 taught by Swin-T
    [(2, 512 * 1024 + 2 * 1024 + 1024 * 768), (1, 512 * 512 + 2 * 512 + 512 * 768)],
)
def test_aad_is_the_authors_mlp(ratio, parameters):
    aad = AAD(512, 768, ratio=ratio)
    assert count(aad) == parameters
    assert [type(x).__name__ for x in aad.mlp] == ['Linear', 'BatchNorm1d', 'GELU', 'Linear']
    assert {name.split('.')[-1] for name, _ in aad.mlp[0].named_parameters()} == {'weight'}, 'no bias'
    assert aad.mlp[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    student, teacher = torch.randn(4, 512), torch.randn(4, 768)
    mine, theirs = aad(student, teacher)
    assert mine.shape == (4, 768) and theirs is teacher
    assert_every_parameter_gets_a_gradient(aad, [mine])


def test_aad_refuses_a_batch_of_one_in_training_and_a_ratio_below_one():
    aad = AAD(4, 6)
    with pytest.raises(UserError, match='AAD: expected at least 2 samples.*drop_last=True'):
        aad(torch.randn(1, 4), torch.randn(1, 6))
    assert aad.eval()(torch.randn(1, 4), torch.randn(1, 6))[0].shape == (1, 6)
    with pytest.raises(UserError, match='AAD.ratio: expected a number >= 1'):
        AAD(4, 6, ratio=0)


def test_contrast_heads_give_unit_vectors_of_one_width_and_train_both_sides():
    head = ContrastHead(4, 6, out_channels=8)
    outputs = head(torch.randn(5, 4), torch.randn(5, 6))
    for x in outputs:
        assert x.shape == (5, 8) and x.dtype == torch.float32
        torch.testing.assert_close(x.norm(dim=1), torch.ones(5))
    assert_every_parameter_gets_a_gradient(head, outputs)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert {x.dtype for x in head(torch.randn(5, 4), torch.randn(5, 6))} == {torch.float32}
    leaf = torch.zeros(5, 4, requires_grad=True)
    head(leaf, torch.randn(5, 6))[0].sum().backward()
    assert leaf.grad.isfinite().all() and leaf.grad.abs().max() < 1e3, 'a dead embedding explodes nothing'


# Orthogonal projection

WIDTHS = pytest.mark.parametrize('student, teacher', [(5, 9), (9, 5), (6, 6)])


def torchs_projector(mine, student, teacher):
    """The layer of VkD's code, in the same state."""
    layer = nn.Linear(student, teacher, bias=False).double()
    layer = nn.utils.parametrizations.orthogonal(layer, orthogonal_map='householder')
    with torch.no_grad():
        layer.parametrizations.weight[0].base.copy_(mine.base)
        original = mine.vectors.tril(-1) - torch.eye(*mine.vectors.shape, dtype=torch.float64)
        layer.parametrizations.weight.original.copy_(original if teacher >= student else original.mT)
    return layer


@WIDTHS
def test_the_orthogonal_projection_is_torchs(student, teacher):
    projector = OrthogonalProjector(student, teacher).double()
    nn.init.normal_(projector.vectors)
    layer = torchs_projector(projector, student, teacher)
    images, target = (torch.randn(4, width, dtype=torch.float64) for width in (student, teacher))
    outputs = projector(images, target)[0], layer(images)
    torch.testing.assert_close(*outputs)
    leaves = projector.vectors, layer.parametrizations.weight.original
    mine, theirs = (torch.autograd.grad((x - target).square().sum(), y)[0] for x, y in zip(outputs, leaves))
    torch.testing.assert_close(mine, (theirs if teacher >= student else theirs.mT).tril(-1))


@WIDTHS
def test_the_orthogonal_projection_stays_orthogonal_and_keeps_distances(student, teacher):
    projector = OrthogonalProjector(student, teacher)
    begun, narrow = projector.weight.detach(), min(student, teacher)
    optimizer = torch.optim.SGD(projector.parameters(), lr=0.5, weight_decay=0.05)
    images, target = torch.randn(16, student), torch.randn(16, teacher)
    for _ in range(20):
        optimizer.zero_grad()
        (projector(images, target)[0] - target).square().mean().backward()
        optimizer.step()
    weight = projector.weight.detach()
    gram = weight.mT @ weight if teacher >= student else weight @ weight.mT
    torch.testing.assert_close(gram, torch.eye(narrow), atol=1e-5, rtol=0)
    assert (weight - begun).norm() > 0.1
    with torch.autocast('cpu', dtype=torch.bfloat16):
        projected, same = projector(images, target)
    assert same is target and torch.equal(projected, projector(images, target)[0])
    if teacher >= student:
        torch.testing.assert_close(torch.cdist(projected, projected), torch.cdist(images, images))
