"""results.json: what a run gave and what it was made of."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import IterBasedTrainLoop

from hetkd.datasets import Digits
from hetkd.datasets.digest import data_digest
from hetkd.engine import ResumeHook, RunRecordHook
from hetkd.errors import UserError
from hetkd.registry import MODELS
from hetkd.testing import micro_net


def runner(folder, epoch=0, dataset=None, model=None, seed=7, hooks=None):
    loader = SimpleNamespace(dataset=dataset or Digits(per_class=2), batch_size=4)
    cfg = Config(dict(lr=0.1, model=dict(type='HCD', teacher=dict(checkpoint='a.pth'))))
    return SimpleNamespace(
        work_dir=str(folder), epoch=epoch, iter=10 * epoch, max_epochs=4, seed=seed, cfg=cfg,
        train_dataloader=loader, hooks=hooks or [ResumeHook()],
        model=model or MODELS.build(dict(type='NetClassifier', student=micro_net('cnn'))),
    )  # fmt: skip


def read(folder):
    return json.loads((folder / 'results.json').read_text())


def test_metrics_last_and_best_are_kept_and_the_end_is_marked(tmp_path):
    hook, run = RunRecordHook(), runner(tmp_path)
    hook.before_train(run)
    assert read(tmp_path)['finished'] is False and 'last' not in read(tmp_path)
    for run.epoch, value in ((1, 50.0), (2, 70.0), (3, 70.0), (4, torch.tensor(60.0))):
        hook.after_val_epoch(run, {'accuracy/top1': value, 'accuracy/top5': 90.0})
    hook.after_train(run)
    record = read(tmp_path)
    assert record['finished'] is True and record['epochs'] == 4
    assert record['metrics']['2'] == {'accuracy/top1': 70.0, 'accuracy/top5': 90.0}
    assert record['last'] == dict(epoch=4, metric='accuracy/top1', value=60.0)
    assert record['best'] == dict(epoch=2, metric='accuracy/top1', value=70.0)
    assert not list(tmp_path.glob('*.part'))


def test_a_resumed_run_goes_on_with_the_epochs_before_it(tmp_path):
    hook, run = RunRecordHook(), runner(tmp_path)
    hook.before_train(run)
    for run.epoch in (1, 2, 3):
        hook.after_val_epoch(run, {'accuracy/top1': 10.0 * run.epoch})
    resumed = RunRecordHook()
    resumed._begin = 0
    resumed.before_train(runner(tmp_path, epoch=2, hooks=run.hooks))
    assert set(read(tmp_path)['metrics']) == {'1', '2'}, 'the third epoch is run again'
    resumed.after_val_epoch(runner(tmp_path, epoch=3), {'accuracy/top1': 35.0})
    assert read(tmp_path)['metrics']['3'] == {'accuracy/top1': 35.0}
    fresh = RunRecordHook()
    fresh.before_train(runner(tmp_path))
    assert read(tmp_path)['metrics'] == {}


def test_time_counts_up_to_the_checkpoint_that_an_interrupt_leaves(tmp_path):
    run = runner(tmp_path, epoch=1)
    for total in (100, 200):
        hook = RunRecordHook()
        hook.before_train(run)
        hook._begin -= 100  # it has run for so long, without a validation
        hook.before_save_checkpoint(run, {})
        assert read(tmp_path)['seconds'] == pytest.approx(total, abs=5)


def test_a_resumed_runs_peak_of_a_gpus_memory_is_that_of_all_its_pieces(tmp_path, monkeypatch):
    run = runner(tmp_path, epoch=1)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'a GPU')
    for mib, expected in ((700, 700), (500, 700), (900, 900)):
        monkeypatch.setattr(torch.cuda, 'max_memory_allocated', lambda mib=mib: mib * 2**20)
        hook = RunRecordHook()
        hook.before_train(run)
        hook.after_train(run)
        assert read(tmp_path)['peak_memory_mib'] == expected


def test_settings_versions_and_commit_are_recorded(tmp_path):
    RunRecordHook().before_train(runner(tmp_path))
    record = read(tmp_path)
    assert record['settings']['seed'] == 7 and record['settings']['processes'] == 1
    assert record['settings']['batch_size'] == 4 and len(record['settings']['digest']) == 64
    assert record['versions']['torch'] == torch.__version__ and {'python', 'mmengine'} <= set(
        record['versions']
    )
    assert record['commit'] == '' or len(record['commit'].rstrip('+')) == 40


def test_other_data_and_other_teachers_have_other_digests(tmp_path):
    def digests(per_class, seed):
        torch.manual_seed(seed)
        teacher = micro_net('vit', checkpoint='random')
        model = MODELS.build(dict(type='LogitDistiller', teacher=teacher, student=micro_net('cnn')))
        RunRecordHook().before_train(runner(tmp_path, dataset=Digits(per_class=per_class), model=model))
        record = read(tmp_path)
        assert (
            record['data']['images'] == 10 * per_class and record['teachers'][0]['net'] == 'VisionTransformer'
        )
        return record['data']['digest'], record['teachers'][0]['digest']

    first = digests(2, 0)
    assert digests(2, 0) == first
    data, teacher = digests(3, 1)
    assert data != first[0] and teacher != first[1]


def test_soft_labels_are_part_of_the_data():
    class Soft(list):
        get_data_info = list.__getitem__

    one, other = (Soft([dict(img_path='a.png', gt_score=np.array(x))]) for x in ([0.3, 0.7], [0.4, 0.6]))
    assert data_digest(one) != data_digest(other)


def test_other_files_under_the_same_names_are_other_data(tmp_path):
    def digest(text):
        (tmp_path / 'a.png').write_text(text)

        class Files(list):
            get_data_info = list.__getitem__

        return data_digest(Files([dict(img_path=str(tmp_path / 'a.png'), gt_label=0)]))

    assert digest('one') == digest('one') != digest('two')


def test_testing_alone_writes_nothing(tmp_path):
    RunRecordHook().after_val_epoch(runner(tmp_path), {'accuracy/top1': 1.0})
    assert not (tmp_path / 'results.json').exists()


@pytest.mark.parametrize('monitor', ['accuracy/top5'])
def test_another_metric_may_be_named(monitor, tmp_path):
    hook, run = RunRecordHook(monitor=monitor), runner(tmp_path, epoch=0)
    hook.before_train(run)
    run.epoch = 1
    hook.after_val_epoch(run, {'accuracy/top1': 1.0, 'accuracy/top5': 2.0})
    assert read(tmp_path)['last'] == dict(epoch=1, metric=monitor, value=2.0)


def test_a_run_that_is_not_the_checkpoints_is_not_gone_on_with(tmp_path):
    first = runner(tmp_path)
    RunRecordHook().before_train(first)
    other = runner(tmp_path, epoch=1)
    RunRecordHook().before_train(runner(tmp_path, epoch=1, hooks=first.hooks))
    with pytest.raises(UserError, match='work_dir: expected .* to hold the run of the checkpoint'):
        RunRecordHook().before_train(other)
    RunRecordHook().before_train(runner(tmp_path, epoch=0))


def test_metrics_that_are_no_numbers_are_left_out(tmp_path):
    hook, run = RunRecordHook(), runner(tmp_path)
    hook.before_train(run)
    run.epoch = 1
    values = dict(
        list=[1.0, 2.0],
        matrix=torch.ones(2, 2),
        text='x',
        none=None,
        array=np.float32(3),
        count=4,
        ragged=[[1], [1, 2]],
    )
    hook.after_val_epoch(run, {'accuracy/top1': torch.tensor([50.0], dtype=torch.bfloat16), **values})
    assert read(tmp_path)['metrics'] == {'1': {'accuracy/top1': 50.0, 'array': 3.0, 'count': 4.0}}


def test_a_run_of_iterations_is_recorded_by_iteration(tmp_path):
    run = runner(tmp_path)
    run.train_loop, run.iter, run.max_iters = object.__new__(IterBasedTrainLoop), 0, 30
    hook = RunRecordHook()
    hook.before_train(run)
    for run.iter, value in ((10, 50.0), (20, 40.0)):
        hook.after_val_epoch(run, {'accuracy/top1': value})
    again = RunRecordHook()
    again.before_train(run)  # the same run
    record = read(tmp_path)
    assert list(record['metrics']) == ['10', '20'] and record['iterations'] == 30
    assert (record['last']['iteration'], record['best']['iteration']) == (20, 10)
