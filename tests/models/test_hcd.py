"""HCD: parameter counts, its equation, each option."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from hetkd.errors import UserError
from hetkd.functional import kl_divergence, orthogonality_loss, sublogit_ce, sublogit_kl
from hetkd.models.connectors import CFM, StageProjector
from hetkd.registry import MODELS
from hetkd.testing import micro_net

RESNET18 = ((64, 128, 256, 512), (4, 8, 16, 32))
MOBILENETV2 = ((24, 32, 96, 1280), (4, 8, 16, 32))
TARGET = torch.tensor([3, 1, 4, 1])


@pytest.mark.parametrize(
    'stages, teacher, expected',
    [
        (RESNET18, 192, 1_839_424),
        (RESNET18, 384, 2_982_976),
        (RESNET18, 768, 7_270_720),
        (MOBILENETV2, 768, 9_541_824),
    ],
)
def test_train_only_parameters(stages, teacher, expected):
    width = max(stages[0][-1], teacher)
    modules = (StageProjector(*stages, width, final_bias=True), CFM(4, width, teacher, 100))
    assert sum(p.numel() for module in modules for p in module.parameters()) == expected


def build(**options):
    return MODELS.build(
        dict(type='HCD', teacher=micro_net('vit', checkpoint='random'), student=micro_net('cnn'), **options)
    ).eval()


def parts(model, batch):
    """Everything the equation names, by hand."""
    student = model.student(batch[0], stages=True)
    teacher = model.teacher(batch[0], embedding=True)
    raw = model.mapper(model.projector(student.stages), teacher.embedding)
    return student.logits, teacher.logits, raw


def similarity(sub_logits):
    """Mean cosine of the pairs of a sample's sub-logits at a stage, without its true class."""
    cosines = []
    for stage in sub_logits:
        for sample, label in zip(stage, TARGET.tolist()):
            rest = torch.cat([sample[:, :label], sample[:, label + 1 :]], 1)
            pairs = itertools.combinations(rest, 2)
            cosines += [F.cosine_similarity(x, y, dim=0) for x, y in pairs]
    return torch.stack(cosines).mean()


def test_the_losses_are_those_of_the_equation(batch):
    model = build()
    z, t, raw = parts(model, batch)
    s = raw + t[:, None]
    expected = dict(
        loss_ce=F.cross_entropy(z, TARGET, label_smoothing=0.1),
        loss_kd=kl_divergence(z, t),
        loss_sub_logit=sum(sublogit_ce(x, TARGET) + 6 * sublogit_kl(x, z) for x in s),
        loss_orthogonality=sum(orthogonality_loss(x, TARGET) for x in s),
        sub_logit_similarity=similarity(s),
    )
    losses = model.loss(*batch)
    assert losses.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value)


@pytest.mark.parametrize('count', [1, 2, 4])
@pytest.mark.parametrize('layers', [1, 2])
def test_sub_logits_and_layers(count, layers, batch):
    model = build(mapper=dict(type='CFM', num_sub_logits=count, num_layers=layers))
    _, _, raw = parts(model, batch)
    assert raw.shape == (4, 4, count, 10)
    linears = [m for m in model.mapper.modules() if isinstance(m, torch.nn.Linear)]
    assert len(linears) == 4 * layers
    assert all(x.isfinite() for x in model.loss(*batch).values())


@pytest.mark.parametrize('student_lambda, teacher_lambda', [(0.5, 1.0), (1.0, 0.0)])
def test_lambdas_weigh_the_fusion(student_lambda, teacher_lambda, batch):
    model = build(student_lambda=student_lambda, teacher_lambda=teacher_lambda)
    z, t, raw = parts(model, batch)
    s = student_lambda * raw + teacher_lambda * t[:, None]
    expected = (sublogit_ce(s, TARGET) + 6 * sublogit_kl(s, z)).sum()
    torch.testing.assert_close(model.loss(*batch)['loss_sub_logit'], expected)


@pytest.mark.parametrize('on', ['fused', 'raw'])
@pytest.mark.parametrize('reduction', ['sum', 'mean'])
@pytest.mark.parametrize('threshold, beta', [(0.5, 1.0), (0.0, 2.0)])
def test_options_of_the_orthogonality(on, reduction, threshold, beta, batch):
    loss = dict(type='OrthogonalityLoss', threshold=threshold, reduction=reduction, loss_weight=beta)
    model = build(orthogonality_on=on, orthogonality=loss)
    for mapper in model.mapper.parameters():
        torch.nn.init.normal_(mapper)
    _, t, raw = parts(model, batch)
    values = orthogonality_loss(raw if on == 'raw' else raw + t[:, None], TARGET, threshold)
    expected = beta * (values.sum() if reduction == 'sum' else values.mean())
    assert expected > 0
    torch.testing.assert_close(model.loss(*batch)['loss_orthogonality'], expected)


@pytest.mark.parametrize('reduction', ['sum', 'mean'])
@pytest.mark.parametrize('temperature, weight', [(1.0, 6.0), (4.0, 0.5)])
def test_options_of_the_sub_logit_loss(reduction, temperature, weight, batch):
    loss = dict(type='SubLogitLoss', temperature=temperature, kl_weight=weight, label_smoothing=0.0)
    loss['reduction'] = reduction
    model = build(sub_logit=loss)
    z, t, raw = parts(model, batch)
    s = raw + t[:, None]
    values = sublogit_ce(s, TARGET, 0.0) + weight * temperature**2 * sublogit_kl(s, z, temperature)
    expected = values.sum() if reduction == 'sum' else values.mean()
    torch.testing.assert_close(model.loss(*batch)['loss_sub_logit'], expected)


@pytest.mark.parametrize('detach', [False, True])
def test_detach_keeps_the_kl_from_the_mapper(detach, batch):
    loss = MODELS.build(dict(type='SubLogitLoss', detach=detach))
    z, s = torch.randn(4, 10, requires_grad=True), torch.randn(2, 4, 3, 10, requires_grad=True)
    loss(z, s, TARGET).backward()
    both = s.grad.clone()
    s.grad = None
    sublogit_ce(s, TARGET).sum().backward()
    assert torch.allclose(both, s.grad) is detach
    assert z.grad.abs().sum() > 0


def test_every_parameter_gets_a_gradient(batch):
    model = build().train()
    sum(model.loss(*batch).values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(mapper=dict(type='CFM', num_sub_logits=0)), 'num_sub_logits: expected a number >= 1'),
        (dict(mapper=dict(type='CFM', num_layers=3)), 'num_layers: expected 1 or 2'),
        (dict(orthogonality=dict(type='OrthogonalityLoss', threshold=1.2)), 'threshold: expected a cosine'),
        (dict(sub_logit=dict(type='SubLogitLoss', reduction='max')), 'reduction: expected'),
        (dict(sub_logit=dict(type='SubLogitLoss', temperature=0)), 'temperature: expected'),
        (dict(orthogonality_on='both'), "orthogonality_on: expected 'fused' or 'raw'"),
    ],
)
def test_bad_options_are_refused_when_built(options, message):
    with pytest.raises(UserError, match=message):
        build(**options)
