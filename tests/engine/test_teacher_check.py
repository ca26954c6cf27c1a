"""The check of the teachers before the first step."""

import pytest
import torch
from mmengine.hooks import Hook

from hetkd.engine import TeacherCheckHook


class Stop(Hook):
    """End before the first step."""

    def before_train_epoch(self, runner):
        raise KeyboardInterrupt


def report_of(runner):
    runner.register_hook(Stop())
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    return next(x for x in runner.hooks if isinstance(x, TeacherCheckHook)).report


def shuffled(path, out):
    """A teacher whose classes are in another order."""
    state = torch.load(path)
    for name in ('head.weight', 'head.bias'):
        state[name] = state[name].roll(1, 0)
    torch.save(state, out)
    return str(out)


@pytest.mark.parametrize('images', [256, 100])
def test_it_counts_and_measures(images, runner_of, tiny_teacher):
    runner = runner_of(default_hooks__teacher_check__images=images)
    report = report_of(runner)
    (teacher,) = report['teachers']
    assert teacher['images'] == images and teacher['file'] == str(tiny_teacher)
    assert 25 < teacher['top1'] < 100 and teacher['chance'] == 10
    # 3 sigma of a binomial above chance
    assert teacher['chance_limit'] == pytest.approx(10 + 300 * (0.09 / images) ** 0.5)
    model = runner.model
    assert report['parameters'] == dict(
        student=sum(x.numel() for x in model.student.parameters()),
        train_only=sum(x.numel() for x in [*model.projector.parameters(), *model.fusion.parameters()]),
        frozen=0,
    )


def test_the_accuracy_of_all_images_is_that_of_the_validation(runner_of):
    runner = runner_of(default_hooks__teacher_check__images=10**6)
    runner.train()
    (teacher,) = next(x for x in runner.hooks if isinstance(x, TeacherCheckHook)).report['teachers']
    assert teacher['images'] == 600
    logged = runner.message_hub.get_scalar('val/teacher/top1').current()
    assert teacher['top1'] == pytest.approx(logged, abs=0.4), 'half precision there'


def test_a_teacher_at_chance_level_stops_the_run_and_the_message_says_how_to_go_on(
    runner_of, tiny_teacher, tmp_path
):
    other = shuffled(tiny_teacher, tmp_path / 'other.pth')
    runner = runner_of(model__teacher__checkpoint=other)
    with pytest.raises(
        ValueError, match=r'teacher: expected one that knows the data, got .* % on 256'
    ) as info:
        runner.train()
    assert 'other.pth' in str(info.value) and 'class order' in str(info.value)
    key, value = str(info.value).split()[-1].split('=')
    assert (key, value) == ('default_hooks.teacher_check.allow_chance', 'True')
    report = report_of(
        runner_of(model__teacher__checkpoint=other, default_hooks__teacher_check__allow_chance=True)
    )
    assert report['teachers'][0]['top1'] < 17


@pytest.mark.parametrize(
    'options, measured',
    [
        (dict(model__teacher__checkpoint='random'), True),  # meant
        (dict(default_hooks__teacher_check__images=0), False),
        (dict(val_cfg=None, val_dataloader=None, val_evaluator=None), False),
    ],
)
def test_a_meant_randomness_and_nothing_to_measure_on_do_not_stop(options, measured, runner_of):
    (teacher,) = report_of(runner_of(**options))['teachers']
    assert (teacher['top1'] is not None) == measured


def test_without_a_teacher_the_parameters_are_counted(tmp_path, runner_of, monkeypatch):
    runner = runner_of()
    runner.model.teachers = []
    runner.model.projector.requires_grad_(False)
    report = report_of(runner)
    assert report['teachers'] == []
    assert report['parameters']['frozen'] == sum(x.numel() for x in runner.model.projector.parameters())
