"""Test-time augmentation: what a test reads is of all views of an image."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmpretrain.structures import DataSample

from hetkd.apis import load_config
from hetkd.errors import UserError
from hetkd.evaluation import KNNAccuracy
from hetkd.registry import MODELS, RUNNERS
from hetkd.testing import micro_net
from tests.conftest import ROOT


def test_scores_label_and_embedding_are_the_mean_of_the_views():
    net = dict(type='NetClassifier', student=dict(micro_net('vit')))
    model = MODELS.build(dict(type='AverageViews', module=net)).eval()
    model.module.predicts_embedding = True
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    samples = [DataSample().set_gt_label(i % 2) for i in range(6)]
    views = [images.flip(-1), images]
    data = dict(inputs=[list(x) for x in views], data_samples=[[s.clone() for s in samples] for _ in views])
    with torch.no_grad():
        found = model.test_step(data)
        outputs = [
            model.module.student(model.module.data_preprocessor(dict(inputs=x))['inputs'], embedding=True)
            for x in views
        ]
    scores = sum(x.logits.softmax(1) for x in outputs) / 2
    embedding = sum(x.embedding for x in outputs) / 2
    assert (outputs[0].embedding - embedding).abs().max() > 1e-4
    for i, sample in enumerate(found):
        torch.testing.assert_close(sample.pred_score, scores[i])
        torch.testing.assert_close(sample.embedding, embedding[i])
        assert sample.pred_label == scores[i].argmax()
    one, other = (
        DataSample().set_pred_score(torch.tensor(x)).set_pred_label(x.index(max(x)))
        for x in ([0.6, 0.4], [0.1, 0.9])
    )
    assert model.merge_preds([[one, other]])[0].pred_label == 1
    assert sum(x.gt_label.item() for x in found) == 3
    metric = KNNAccuracy(k=1)
    metric.process(None, [x.to_dict() for x in found])
    assert metric.evaluate(6)['knn/top1'] >= 0


def test_a_wrapper_that_keeps_one_view_is_refused_where_a_metric_reads_the_embedding(tmp_path):
    cfg = load_config(ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py', {}, 'scratch')
    cfg.train_cfg = cfg.train_dataloader = cfg.optim_wrapper = cfg.param_scheduler = None
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.model = ConfigDict(type='AverageClsScoreTTA', module=cfg.model)
    cfg.test_evaluator, cfg.work_dir = [dict(type='KNNAccuracy')], str(tmp_path)
    with pytest.raises(UserError, match='tta_model: expected AverageViews.*got AverageClsScoreTTA'):
        RUNNERS.build(cfg).test()
