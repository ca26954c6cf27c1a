"""Images without a label: the label loss leaves them out, distillation takes the teacher's answer."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample

from hetkd.errors import UserError
from hetkd.functional.targets import one_hot
from hetkd.models.distillers import FeatureDistiller
from hetkd.models.distillers.labels import answered, batch_labels
from hetkd.registry import MODELS
from hetkd.testing import micro_net
from tests.conftest import ROOT

METHODS = sorted(x.stem for x in (ROOT / 'configs/_base_/methods').glob('*.py'))
LABELLED = [0, 2]


def build(name, **options):
    model = Config.fromfile(ROOT / f'configs/_base_/methods/{name}.py').to_dict()['model']
    model.setdefault('type', 'OFA')
    model.update(student=micro_net('cnn'), **options)
    if name == 'scratch':
        model.pop('teacher')
    else:
        model['teacher'] = options.get('teacher', micro_net('vit', checkpoint='random'))
    if name == 'crd':
        model['losses'][0]['num_negatives'] = 6
    model = MODELS.build(model)
    if name == 'crd':
        model.losses['loss_crd'].prepare_data(torch.arange(8) % 3)
    return model.train()


def without_labels(samples, keep=()):
    """The same images, of which those in ``keep`` have their label."""
    kept = [DataSample(metainfo=dict(sample_idx=x.sample_idx)) for x in samples]
    for i in keep:
        kept[i].set_gt_label(samples[i].gt_label)
    return kept


def losses_of(model, inputs, samples):
    torch.manual_seed(1)
    return deepcopy(model).loss(inputs, samples)


@pytest.mark.parametrize('name', METHODS)
def test_an_unlabelled_image_is_one_that_the_teacher_labels_and_the_label_loss_leaves_out(name, batch):
    inputs, samples = batch
    model = build(name)
    found = losses_of(model, inputs, without_labels(samples, LABELLED))
    answers = [x.gt_label for x in samples]
    if name != 'scratch':
        answer = model.teacher(inputs).logits.argmax(1, keepdim=True)
        answers = [y if i in LABELLED else answer[i] for i, y in enumerate(answers)]
        assert any(int(a) != int(x.gt_label) for a, x in zip(answers, samples))
    expected = losses_of(model, inputs, [deepcopy(x).set_gt_label(y) for x, y in zip(samples, answers)])
    assert found.keys() == expected.keys()
    for key in found.keys() - {'loss_ce'}:
        assert torch.equal(found[key], expected[key]), key
    logits = deepcopy(model).student(inputs).logits
    target = torch.cat([x.gt_label for x in samples])
    alone = getattr(model, 'ce_weight', 1) * model.label_loss(logits[LABELLED], target[LABELLED])
    assert torch.allclose(found['loss_ce'], alone) and not torch.allclose(
        found['loss_ce'], expected['loss_ce']
    )


@pytest.mark.parametrize('name', METHODS)
def test_a_batch_without_any_label_has_a_label_loss_of_zero_with_a_gradient(name, batch):
    inputs, samples = batch
    model = build(name)
    losses = model.loss(inputs, without_labels(samples))
    assert losses['loss_ce'] == 0 and losses['loss_ce'].requires_grad
    sum(x for key, x in losses.items() if key.startswith('loss_')).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
    if name != 'scratch':
        assert any(x.grad.any() for x in model.student.parameters())


def test_any_label_loss_leaves_them_out(batch):
    inputs, samples = batch
    model = build('kd', label_loss=dict(type='mmpretrain.CrossEntropyLoss'))
    target = torch.cat([x.gt_label for x in samples])
    found = model.loss(inputs, without_labels(samples, LABELLED))['loss_ce']
    expected = torch.nn.functional.cross_entropy(model.student(inputs).logits[LABELLED], target[LABELLED])
    assert torch.allclose(found, expected)


def test_each_of_several_teachers_gives_its_own_answer(batch):
    inputs, samples = batch
    torch.manual_seed(5)
    teachers = [micro_net('vit', checkpoint='random'), micro_net('mlp', checkpoint='random')]
    model = build('dkd', teacher=teachers)
    answers = [x(inputs).logits.argmax(1) for x in model.teachers]
    assert not torch.equal(*answers)
    seen = []
    model.losses['loss_dkd'].register_forward_pre_hook(lambda _, args: seen.append(args[2]))
    model.loss(inputs, without_labels(samples))
    assert all(map(torch.equal, seen, answers)) and len(seen) == 2


# A loss that reads the target beside features


class Reader(torch.nn.Module):
    needs = ('embedding', 'target')

    def forward(self, student, teacher, target=None):
        self.seen = target
        return student.embedding.square().mean()


def reader(num_classes):
    teacher = dict(micro_net('vit', checkpoint='random'), num_classes=num_classes)
    model = FeatureDistiller(
        losses=[dict(type=Reader)], teacher=teacher, student=micro_net('cnn'), label_loss=None
    )
    return model, model.losses['loss_reader']


def test_a_loss_on_features_that_reads_the_target_gets_the_answer_of_a_teacher_with_a_head(batch):
    inputs, samples = batch
    model, loss = reader(10)
    assert 'logits' not in model.teacher_needs
    model.loss(inputs, without_labels(samples, LABELLED))
    answer = model.teacher(inputs).logits.argmax(1)
    expected = [int(samples[i].gt_label) if i in LABELLED else int(answer[i]) for i in range(4)]
    assert loss.seen.tolist() == expected


def test_beside_a_teacher_without_a_head_it_refuses_unlabelled_images_by_name(batch):
    inputs, samples = batch
    model, loss = reader(0)
    model.loss(inputs, samples)
    assert loss.seen.tolist() == [3, 1, 4, 1]
    for run in (
        lambda: model.check_unlabelled(1),
        lambda: model.loss(inputs, without_labels(samples, LABELLED)),
    ):
        with pytest.raises(UserError, match=r'FeatureDistiller \(Reader\): expected labelled images, or'):
            run()


def test_labels_alone_need_one():
    build('scratch').check_unlabelled(1)
    build('kd').check_unlabelled(0)
    with pytest.raises(UserError, match='NetClassifier: expected training images with labels'):
        build('scratch').check_unlabelled(0)


@pytest.mark.parametrize('name', ['scratch', 'kd'])
def test_a_missing_label_is_refused_where_none_may_be_missing(name, batch):
    inputs, samples = batch
    model = build(name)
    model.needs_labels = True
    model.loss(inputs, samples)
    with pytest.raises(UserError, match='expected a label for each image, got 2 of a batch of 4 without'):
        model.loss(inputs, without_labels(samples, LABELLED))


# Probabilities and mixing


def test_a_row_of_nan_is_answered_and_the_others_stay():
    target = torch.tensor([[0.25, 0.75, 0], [torch.nan] * 3])
    found = answered(target, torch.tensor([[9.0, 0, 0], [0, 0, 9]]))
    assert found.tolist() == [[0.25, 0.75, 0], [0, 0, 1]]


def test_probabilities_beside_no_label():
    samples = [DataSample().set_gt_score(torch.tensor([1, 0])), DataSample()]
    for place in (0, 1):
        target, labelled = batch_labels([samples[place], samples[1 - place]], torch.device('cpu'))
        assert target[place].tolist() == [1, 0] and target[1 - place].isnan().all()
        assert labelled.tolist() == [place]
    with pytest.raises(AttributeError):
        batch_labels([samples[0], DataSample().set_gt_label(1)], torch.device('cpu'))


def halves(images, scores):
    """Each image mixed with the one before."""
    return (images + images.roll(1, 0)) / 2, (scores + scores.roll(1, 0)) / 2


def preprocess(kind, labels, mixes, **options):
    pre = MODELS.build(dict(type=kind, num_classes=3, **options))
    if mixes:
        pre.batch_augments, pre.to_onehot = halves, True
    samples = [DataSample(metainfo=dict(sample_idx=i)) for i in range(len(labels))]
    for sample, label in zip(samples, labels):
        if label is not None:
            sample.set_gt_label(label)
    images = torch.arange(len(labels)).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).to(torch.uint8)
    data = pre(dict(inputs=images, data_samples=samples), training=True)
    return data['inputs'][:, 0, 0, 0], batch_labels(data['data_samples'], torch.device('cpu'))


KINDS = ['SeededPreprocessor', 'BatchViewPreprocessor']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('labels', [[None, 1, 2, 0], [0, None, 1, None], [None, None]])
def test_preprocessors_take_batches_in_which_labels_are_missing(kind, labels):
    images, (target, labelled) = preprocess(kind, labels, mixes=False)
    assert images.tolist() == list(range(len(labels)))
    assert target.tolist() == [-1 if x is None else x for x in labels]
    assert labelled.tolist() == [i for i, x in enumerate(labels) if x is not None]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('labels', [[None, 1, 2, 0], [0, None, 1, 1], [None, None], [1, 2]])
def test_an_image_mixed_with_an_unlabelled_one_has_no_label(kind, labels):
    images, (target, labelled) = preprocess(kind, labels, mixes=True)
    count = len(labels)
    assert images.tolist() == [(i + (i - 1) % count) / 2 for i in range(count)]
    kept = [i for i in range(count) if None not in (labels[i], labels[i - 1])]
    assert (list(range(count)) if labelled is None else labelled.tolist()) == kept
    for i in range(count):
        if i in kept:
            pair = torch.tensor([labels[i], labels[i - 1]])
            assert torch.equal(target[i], one_hot(pair, 3, torch.float).mean(0))
        else:
            assert target[i].isnan().all()


def test_mixup_and_cutmix_train_with_unlabelled_images(batch):
    inputs, samples = batch
    augments = dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)])
    model = build('hcd', data_preprocessor=dict(num_classes=10, batch_augments=augments))
    for seed in range(4):
        np.random.seed(seed)
        kept = without_labels(samples, LABELLED)
        data = model.data_preprocessor(dict(inputs=inputs, data_samples=kept), True)
        losses = model.loss(**data)
        assert all(x.isfinite() for x in losses.values())


def test_mixing_needs_the_number_of_classes():
    with pytest.raises(UserError, match='data_preprocessor.num_classes: expected the number of classes'):
        pre = MODELS.build(dict(type='SeededPreprocessor'))
        pre.batch_augments = halves
        samples = [DataSample(), DataSample().set_gt_label(1)]
        pre(dict(inputs=torch.zeros(2, 3, 4, 4), data_samples=samples), training=True)


def test_crd_an_image_without_a_label_is_a_class_of_its_own():
    loss = MODELS.build(dict(type='CRDLoss', num_negatives=4000, channels=4))
    loss.prepare_data(torch.tensor([0, -1, 0, -1, 1]))
    negatives = loss._negatives(torch.arange(5))
    others = [{1, 3, 4}, {0, 2, 3, 4}, {1, 3, 4}, {0, 1, 2, 4}, {0, 1, 2, 3}]
    assert [set(x.tolist()) for x in negatives] == others
