"""A run with a teacher without a class head: checks, validation and record leave out what it has not."""

import json
from pathlib import Path

import pytest
import torch

from hetkd.engine import TeacherCheckHook
from hetkd.errors import UserError

HEADLESS = dict(model__teacher__num_classes=0)


def metrics_of(runner):
    return json.loads(Path(runner.work_dir, 'results.json').read_text())


@pytest.mark.parametrize('method', ['fitnet', 'rkd'])
def test_it_trains_and_the_record_has_no_accuracy_of_it(method, runner_of, tiny_teacher):
    runner = runner_of(method, **HEADLESS)
    runner.train()
    record = metrics_of(runner)
    assert record['finished'] and len(record['metrics']) == 2
    for metrics in record['metrics'].values():
        assert metrics['accuracy/top1'] > 0 and not any('teacher' in x for x in metrics)
    (found,) = next(x for x in runner.hooks if isinstance(x, TeacherCheckHook)).report['teachers']
    assert found['file'] == str(tiny_teacher) and not {'top1', 'images', 'chance', 'classes'} & set(found)
    assert record['teachers'][0]['net'] == 'VisionTransformer'
    (log,) = Path(runner.work_dir).glob('*/*.log')
    assert 'teacher.pth): no class head; sees' in log.read_text()


def test_the_losses_are_those_of_the_same_teacher_with_its_head(runner_of, tmp_path):
    losses = []
    for number, options in enumerate(({}, HEADLESS)):
        runner = runner_of('rkd', work_dir=tmp_path / str(number), **options)
        runner.train()
        losses.append(runner.message_hub.get_scalar('train/loss_rkd').data[0])
    assert (losses[0] == losses[1]).all() and len(losses[0]) > 2


def test_beside_a_teacher_with_a_head_only_the_other_is_measured(runner_of):
    runner = runner_of('rkd')
    runner.model.teachers.insert(0, runner_of('rkd', **HEADLESS).model.teacher)
    runner.train()
    names = {x for x in metrics_of(runner)['metrics']['2'] if x.startswith('teacher')}
    assert names == {f'teacher_2/{x}' for x in ('agreement', 'kl', 'top1')}


@pytest.mark.parametrize('validates', [True, False])
def test_its_outputs_are_checked_all_the_same(validates, runner_of):
    options = {} if validates else dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
    runner = runner_of('rkd', **HEADLESS, **options)
    with torch.no_grad():
        runner.model.teacher.net.model.norm.bias[0] = torch.nan
    with pytest.raises(UserError, match='NaN or infinite embedding of VisionTransformer'):
        runner.train()


def test_class_names_in_its_file_are_not_compared(runner_of, tiny_teacher, tmp_path):
    path = str(tmp_path / 'other.pth')
    meta = dict(dataset_meta=dict(classes=[f'x{i}' for i in range(10)]))
    torch.save(dict(state_dict=torch.load(tiny_teacher), meta=meta), path)
    runner_of('rkd', **HEADLESS, model__teacher__checkpoint=path).train()
    with pytest.raises(UserError, match='teacher: expected the classes'):
        runner_of('rkd', model__teacher__checkpoint=path, work_dir=tmp_path / 'head').train()


def test_a_random_head_that_nobody_reads_is_to_be_left_out(runner_of, tiny_teacher, tmp_path):
    """As pretrained=True gives where num_classes is that of the data."""
    state = torch.load(tiny_teacher)
    state['head.weight'] = torch.randn_like(state['head.weight'])
    torch.save(state, tmp_path / 'random.pth')
    options = dict(model__teacher__checkpoint=str(tmp_path / 'random.pth'))
    with pytest.raises(UserError, match=r'Set teacher.num_classes=0: the method reads no logits\. To train'):
        runner_of('rkd', **options).train()
    with pytest.raises(UserError, match=r'random.pth\)\. To train'):
        runner_of('kd', **options).train()
