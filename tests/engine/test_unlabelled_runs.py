"""Runs with images without a label: few labels, and none at all."""

import json
from pathlib import Path

import pytest
import timm
import torch
from mmpretrain import get_model

from hetkd.apis import export_student
from hetkd.engine import latest_checkpoint
from hetkd.registry import RUNNERS
from hetkd.teacher_cache import write_cache
from hetkd.testing import micro_net

FEW = dict(
    train_dataloader__dataset=dict(per_class=12, labelled=3),
    train_dataloader__batch_size=20,
    train_dataloader__sampler=dict(_delete_=True, type='SemiSupervisedSampler', labelled_share=0.2),
)
NONE = dict(
    train_dataloader__dataset=dict(per_class=12, labelled=0),
    val_evaluator=[dict(type='KNNAccuracy', k=10)],
    default_hooks__checkpoint__save_best='knn/top1',
    default_hooks__run_record__monitor='knn/top1',
)


def log_of(runner):
    (log,) = Path(runner.work_dir).glob('*/*.log')
    return log.read_text()


def scalars(runner, key):
    return runner.message_hub.get_scalar(f'train/{key}').data[0]


@pytest.mark.parametrize('method', ['scratch', 'hcd', 'crd'])
def test_few_labels(method, runner_of):
    runner = runner_of(method, **FEW)
    runner.train()
    assert 'train_dataloader: 90 of 120 images have no label' in log_of(runner)
    assert (
        len(scalars(runner, 'loss')) == 12
        and (scalars(runner, 'loss_ce' if method != 'scratch' else 'loss') > 0).all()
    )


def test_the_same_losses_with_a_cached_teacher(runner_of, tmp_path):
    options = {k: v for k, v in FEW.items() if 'sampler' not in k}
    plain = runner_of('dkd', work_dir=tmp_path / 'plain', **options)
    plain.train()
    cfg = plain.cfg.copy()
    write_cache(cfg, str(tmp_path / 'cache'), views=2)
    cfg.model.teacher.cache = str(tmp_path / 'cache')
    cfg.work_dir, cfg.experiment_name = str(tmp_path / 'cached'), 'cached'
    runner = RUNNERS.build(cfg)
    runner.train()
    assert torch.allclose(*(torch.tensor(scalars(x, 'loss_dkd')) for x in (plain, runner)), rtol=0.02)


def test_batched_views_of_images_in_memory(runner_of):
    data = dict(_delete_=True, type='InMemory', dataset=dict(type='Digits', per_class=12, labelled=3))
    view = dict(type='BatchRandomCrop', padding=1, resize=16)
    options = {**FEW, 'train_dataloader__dataset': data, 'data_preprocessor__type': 'BatchViewPreprocessor'}
    held = dict(_delete_=True, type='InMemory', dataset=dict(type='Digits', split='test', per_class=5))
    options['val_dataloader__dataset'] = held
    options['data_preprocessor__train_view'] = view
    options['data_preprocessor__test_view'] = dict(type='BatchResizeCentreCrop', resize=16, crop=16)
    runner = runner_of('ofa', **options)
    runner.train()
    assert '90 of 120 images have no label' in log_of(runner)


@pytest.mark.parametrize('method, head', [('kd', True), ('rkd', False), ('crd', False)])
def test_no_label_at_all_is_measured_by_the_neighbours_of_the_embedding(method, head, runner_of):
    options = {} if head else dict(model__teacher__num_classes=0)
    runner = runner_of(method, **NONE, **options)
    runner.train()
    assert '120 of 120 images have no label' in log_of(runner)
    assert (scalars(runner, 'loss_ce') == 0).all() and (scalars(runner, f'loss_{method}') > 0).all()
    record = json.loads(Path(runner.work_dir, 'results.json').read_text())
    assert len(record['metrics']) == 2 and record['last']['value'] > 30
    assert list(Path(runner.work_dir).glob('best_knn_top1_*.pth'))
    moments = runner.optim_wrapper.optimizer.state[runner.model.student.model.head.fc.weight]
    assert moments['exp_avg'].any() == head, 'without logits no gradient reaches the class head'


@pytest.mark.parametrize('kind', ['mmpretrain', 'timm'])
def test_the_backbone_is_exported_for_fine_tuning(kind, runner_of, tmp_path):
    options = dict(NONE, train_cfg__max_epochs=1, model__teacher__num_classes=0)
    if kind == 'timm':
        net = dict(micro_net('vit'), input_size=16)
        net.pop('num_classes', None)
        options['model__student'] = dict(_delete_=True, **net)
    runner = runner_of('rkd', **options)
    runner.train()
    out = str(tmp_path / 'backbone.pth')
    config = export_student(runner.cfg, latest_checkpoint(runner.work_dir), out, backbone=True)
    student, images = runner.model.student.eval(), torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = student(images, embedding=True).embedding
        if kind == 'timm':
            kwargs = dict(net['model_kwargs'], img_size=16)
            tuned = timm.create_model(net['model'], num_classes=0, checkpoint_path=out, **kwargs).eval()
            found = tuned(images)
            tuned.reset_classifier(7)
            assert tuned(images).shape == (2, 7)
        else:
            tuned = get_model(config, pretrained=out).eval()
            assert not tuned.with_head
            (found,) = tuned.extract_feat(images)
    assert torch.equal(found, expected)
    state = torch.load(out, weights_only=True)
    assert 'dataset_meta' not in state['meta'] and not any('head.' in x for x in state['state_dict'])
