"""The registered losses pass their options on to the equations."""

import pytest
import torch

from hetkd.errors import UserError
from hetkd.functional import dfra_loss, hint_loss, kd_loss
from hetkd.models.losses import DFRALoss, HintLoss, KDLoss
from hetkd.models.nets.contract import NetOutput
from hetkd.registry import MODELS

CLASSES = {'DFRALoss': DFRALoss, 'KDLoss': KDLoss, 'HintLoss': HintLoss}


def logits(seed=0):
    return 2 * torch.randn(4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def output(seed=0):
    """A net's output with three stages of different sizes."""
    generator = torch.Generator().manual_seed(seed)
    stages = tuple(torch.randn(2, c, s, s, generator=generator) for c, s in [(3, 8), (5, 4), (7, 2)])
    return NetOutput(logits(seed), stages)


def inputs(name):
    return (output(0), output(1)) if name == 'HintLoss' else (logits(0), logits(1))


@pytest.mark.parametrize('name', CLASSES)
def test_is_registered(name):
    assert type(MODELS.build(dict(type=name))) is CLASSES[name]


@pytest.mark.parametrize('name', CLASSES)
def test_has_no_parameters(name):
    assert not list(CLASSES[name]().state_dict())


@pytest.mark.parametrize('weight', [0.0, 0.5, 3.0])
@pytest.mark.parametrize('name', CLASSES)
def test_loss_weight_scales_the_result(name, weight):
    expected = weight * MODELS.build(dict(type=name))(*inputs(name))
    got = MODELS.build(dict(type=name, loss_weight=weight))(*inputs(name))
    assert got.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize('name', CLASSES)
def test_target_is_taken_and_not_used(name):
    loss = MODELS.build(dict(type=name))
    assert loss(*inputs(name), torch.tensor([0, 1, 2, 3])) == loss(*inputs(name))


def test_dfra_defaults_are_temperature_1_and_alpha_2():
    assert (
        DFRALoss()(*inputs('DFRALoss')) == dfra_loss(logits(0), logits(1), temperature=1.0, alpha=2.0).total
    )


def test_kd_default_is_temperature_4():
    assert KDLoss()(*inputs('KDLoss')) == kd_loss(logits(0), logits(1), temperature=4.0)


@pytest.mark.parametrize(
    'options', [dict(temperature=3.0), dict(alpha=5.0), dict(temperature=0.5, alpha=0.0)]
)
def test_dfra_options_reach_the_function(options):
    got = MODELS.build(dict(type='DFRALoss', **options))(logits(0), logits(1))
    assert got == dfra_loss(logits(0), logits(1), **options).total
    assert got != DFRALoss()(logits(0), logits(1))


def test_kd_temperature_reaches_the_function():
    got = MODELS.build(dict(type='KDLoss', temperature=2.0))(logits(0), logits(1))
    assert got == kd_loss(logits(0), logits(1), 2.0)
    assert got != KDLoss()(logits(0), logits(1))


@pytest.mark.parametrize('stages', [slice(0, 1), slice(2, 3), slice(1, 3), slice(0, 3)])
def test_hint_is_the_mean_over_the_matched_stages(stages):
    student, teacher = (x._replace(stages=x.stages[stages]) for x in (output(0), output(1)))
    expected = [hint_loss(a, b).item() for a, b in zip(student.stages, teacher.stages)]
    assert HintLoss()(student, teacher).item() == pytest.approx(sum(expected) / len(expected), rel=1e-6)


def test_hint_asks_the_nets_for_stages():
    assert HintLoss.needs == ('stages',)


def test_dfra_takes_stacked_students_and_gives_one_loss_each():
    students = torch.stack([logits(i) for i in range(3)])
    got = DFRALoss(loss_weight=2.0)(students, logits(9))
    assert got.shape == (3,)
    assert got.tolist() == pytest.approx([2 * dfra_loss(x, logits(9)).total.item() for x in students])


@pytest.mark.parametrize('temperature', [0, -1, float('nan'), float('inf')])
@pytest.mark.parametrize('name', ['DFRALoss', 'KDLoss'])
def test_impossible_temperature_is_refused_at_construction(name, temperature):
    with pytest.raises(UserError, match='temperature: expected a (finite )?number'):
        CLASSES[name](temperature=temperature)


@pytest.mark.parametrize('name', CLASSES)
def test_student_gets_a_gradient_and_teacher_none(name):
    student, teacher = inputs(name)
    leaves = [x.stages[-1] if name == 'HintLoss' else x for x in (student, teacher)]
    for leaf in leaves:
        leaf.requires_grad_()
    CLASSES[name]()(student, teacher).backward()
    assert leaves[0].grad.abs().max() > 0 and leaves[1].grad is None


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 0.5])
@pytest.mark.parametrize('mixed', [False, True])
def test_the_label_loss_is_mmpretrains_label_smoothing(smoothing, mixed):
    from mmpretrain.models.losses import LabelSmoothLoss

    from hetkd.models.losses import LabelLoss

    logits = torch.randn(6, 5)
    target = torch.randn(6, 5).softmax(1) if mixed else torch.randint(5, (6,))
    theirs = LabelSmoothLoss(smoothing, mode='original', num_classes=5)(logits, target)
    torch.testing.assert_close(LabelLoss(smoothing)(logits, target), theirs)


def test_a_label_smoothing_outside_of_0_to_1_is_refused():
    from hetkd.models.losses import LabelLoss

    with pytest.raises(UserError, match=r'expected a number in \[0, 1\], got 1.5'):
        LabelLoss(1.5)
