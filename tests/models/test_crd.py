"""CRD's memory banks: size, sampling, momentum, resume, several processes."""

import math

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.runner import get_priority
from mmpretrain.structures import DataSample

from hetkd.datasets import Digits
from hetkd.engine import TrainingDataHook
from hetkd.engine.hooks.training_data import labels_of
from hetkd.errors import UserError
from hetkd.functional import crd_log_normalisers, crd_loss
from hetkd.models.losses import CRDLoss
from hetkd.models.nets import NetOutput
from hetkd.registry import MODELS
from hetkd.testing import micro_net

LABELS = torch.tensor([0, 1, 2, 1, 0, 2, 2, 1, 0, 1])


def unit(n, seed, channels=8):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, channels, generator=generator), dim=1)


def outputs(n, seed):
    return [NetOutput(None, embedding=unit(n, seed + i)) for i in range(2)]


def prepared(**options):
    loss = CRDLoss(**dict(dict(num_negatives=5, channels=8, loss_weight=1.0), **options))
    loss.prepare_data(LABELS)
    return loss


def test_the_banks_have_a_vector_for_each_image_of_about_unit_length():
    loss = prepared(channels=4096)
    assert loss.student_memory.shape == loss.teacher_memory.shape == (10, 4096)
    assert loss.student_memory.norm(dim=1).tolist() == pytest.approx([1] * 10, abs=0.05)
    assert not torch.equal(loss.student_memory, loss.teacher_memory)


def test_negatives_are_all_images_of_other_classes_equally_often():
    loss = prepared(num_negatives=20000)
    drawn = loss._negatives(torch.arange(10))
    for image, row in enumerate(drawn):
        others = (LABELS[image] != LABELS).nonzero().flatten()
        counts = row.bincount(minlength=10)
        assert counts.sum() == counts[others].sum()
        expected = 20000 / len(others)
        assert counts[others].float().tolist() == pytest.approx([expected] * len(others), rel=0.08)


def test_the_value_is_the_functions_and_the_banks_take_the_batch_up(monkeypatch):
    loss = prepared(temperature=0.2, momentum=0.75, loss_weight=2.0)
    index = torch.tensor([7, 2, 4])
    samples = torch.cat([index[:, None], loss._negatives(index)], 1)
    monkeypatch.setattr(loss, '_negatives', lambda index: samples[:, 1:])
    student, teacher = outputs(3, 0)
    before = loss.student_memory.clone(), loss.teacher_memory.clone()
    log_z = crd_log_normalisers(student.embedding, teacher.embedding, *before, samples, 0.2)
    expected = 2 * crd_loss(student.embedding, teacher.embedding, *before, samples, 0.2, log_z)
    torch.testing.assert_close(loss(student, teacher, index=index), expected)
    torch.testing.assert_close(loss.log_normalisers, log_z)
    after = loss.student_memory, loss.teacher_memory
    for old, new, output in zip(before, after, (student, teacher)):
        for row in range(10):
            if row in index:
                v = output.embedding[index.tolist().index(row)]
                torch.testing.assert_close(new[row], F.normalize(0.75 * old[row] + 0.25 * v, dim=0))
            else:
                assert torch.equal(new[row], old[row])


def test_the_banks_are_updated_in_place():
    """At ImageNet's size a copy would be 1.3 GB a step."""
    loss = prepared()
    before = [x.data_ptr() for x in (loss.student_memory, loss.teacher_memory)]
    student, teacher = outputs(3, 0)
    embedding = student.embedding.requires_grad_()
    loss(student, teacher, index=torch.tensor([7, 2, 4])).backward()
    assert [x.data_ptr() for x in (loss.student_memory, loss.teacher_memory)] == before
    assert embedding.grad.isfinite().all() and embedding.grad.any()


def test_without_momentum_the_banks_hold_the_last_vectors():
    loss = prepared(momentum=0.0)
    student, teacher = outputs(3, 0)
    loss(student, teacher, index=torch.tensor([7, 2, 4]))
    torch.testing.assert_close(loss.student_memory[[7, 2, 4]], student.embedding)


def test_the_normalisers_of_the_first_batch_stay():
    loss = prepared()
    loss(*outputs(3, 0), index=torch.tensor([7, 2, 4]))
    first = loss.log_normalisers.clone()
    loss(*outputs(3, 5), index=torch.tensor([0, 1, 3]))
    assert torch.equal(loss.log_normalisers, first)


def test_a_resumed_run_goes_on_with_banks_and_normalisers():
    loss, resumed = prepared(), prepared()
    loss(*outputs(3, 0), index=torch.tensor([7, 2, 4]))
    resumed.load_state_dict(loss.state_dict())
    values = []
    for one in (loss, resumed):
        torch.manual_seed(1)
        values.append(one(*outputs(3, 5), index=torch.tensor([0, 1, 3])))
    assert values[0] == values[1]
    assert all(torch.equal(a, b) for a, b in zip(loss.buffers(), resumed.buffers()))


def test_a_data_set_that_changed_size_is_refused_at_resume_and_in_training():
    loss = prepared()
    other = CRDLoss(num_negatives=5, channels=8)
    other.prepare_data(LABELS[:9])
    with pytest.raises(UserError, match=r'expected memory banks \(9, 8\).*got \(10, 8\) in the checkpoint'):
        other.load_state_dict(loss.state_dict())
    with pytest.raises(UserError, match='expected indices below 10.*got 12'):
        loss(*outputs(2, 0), index=torch.tensor([3, 12]))
    with pytest.raises(UserError, match='expected indices below 10.*got 10'):
        loss(*outputs(2, 0), index=torch.tensor([3, 10]))
    wider = prepared(channels=16)
    with pytest.raises(UserError, match=r'expected memory banks \(10, 16\).*got \(10, 8\)'):
        wider.load_state_dict(loss.state_dict())


def test_without_an_index_or_banks_a_message_says_what_to_do():
    with pytest.raises(UserError, match='indices in the training set, got none.*sample_idx'):
        prepared()(*outputs(2, 0))
    with pytest.raises(
        ValueError, match='memory banks sized from the training set, got none.*TrainingDataHook'
    ):
        CRDLoss(channels=8)(*outputs(2, 0), index=torch.tensor([0, 1]))


@pytest.mark.parametrize(
    'option, message',
    [
        (dict(num_negatives=0), 'num_negatives: expected a number >= 1'),
        (dict(num_negatives=2.5), 'num_negatives: expected a whole number'),
        (dict(channels=0), 'channels: expected a number >= 1'),
        (dict(momentum=1.0), r'momentum: expected a number in \[0, 1\)'),
        (dict(momentum=-0.1), r'momentum: expected a number in \[0, 1\)'),
        (dict(temperature=0.0), 'temperature: expected'),
    ],
)
def test_options_out_of_range_are_refused(option, message):
    with pytest.raises(UserError, match=message):
        CRDLoss(**option)


def test_images_of_one_class_are_refused():
    with pytest.raises(UserError, match='at least two classes'):
        CRDLoss().prepare_data(torch.zeros(4, dtype=torch.long))


def _process(rank, port, folder):
    """Half of the images of two batches in each process, on gloo."""
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', world_size=2, rank=rank
    )
    torch.manual_seed(rank)
    loss = prepared()
    for index, seed in BATCHES:
        part = slice(rank, None, 2)
        nets = [NetOutput(None, embedding=x.embedding[part]) for x in outputs(4, seed)]
        loss(*nets, index=index[part])
    torch.save(loss.state_dict(), f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


BATCHES = [(torch.tensor([7, 2, 4, 0]), 0), (torch.tensor([1, 2, 9, 8]), 5)]


def test_two_processes_keep_the_banks_of_one(tmp_path):
    mp.spawn(_process, (29641, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert first['log_normalisers'].isfinite().all()
    alone = prepared()
    for index, seed in BATCHES:
        alone(*outputs(4, seed), index=index)
    for key in ('student_memory', 'teacher_memory'):
        torch.testing.assert_close(first[key], alone.state_dict()[key])


def test_two_processes_share_the_mean_of_their_normalisers(monkeypatch):
    loss = prepared()
    log_z = torch.tensor([1.0, 2.0])
    monkeypatch.setattr('hetkd.models.losses.crd.crd_log_normalisers', lambda *inputs, **options: log_z)
    monkeypatch.setattr('hetkd.models.losses.crd.all_gather', lambda x: [x, x + math.log(3)])
    loss._normalise(())
    torch.testing.assert_close(loss.log_normalisers, log_z + math.log(2))


class Balanced(Digits):
    def get_cat_ids(self, idx):
        return [self.get_data_info(idx)['gt_label']]


def test_labels_are_read_through_wrappers_in_the_order_of_the_places():
    digits = Digits(per_class=2)
    labels = [x['gt_label'] for x in (digits.get_data_info(i) for i in range(20))]
    for dataset in (
        digits,
        RepeatDataset(digits, 3),
        ClassBalancedDataset(Balanced(per_class=2), 1e-3),
    ):
        assert labels_of(dataset).tolist() == labels
    with pytest.raises(UserError, match='places of their own.*got ConcatDataset'):
        labels_of(ConcatDataset([digits, digits]))


@pytest.mark.parametrize(
    'label, fits', [(np.array(3), True), (np.int64(3), True), (None, False), ([1, 2], False)]
)
def test_a_label_is_one_whole_number_of_any_kind(label, fits):
    class Labelled(Digits):
        def get_data_info(self, idx):
            return dict(gt_label=label)

    if fits:
        assert labels_of(Labelled(per_class=1)).tolist() == [3] * 10
    else:
        with pytest.raises(UserError, match='expected one class index .gt_label. for each image'):
            labels_of(Labelled(per_class=1))


def test_an_ema_copy_has_the_banks(tmp_path):
    """The banks are there before EMA copies the model."""
    from mmengine.hooks import EMAHook

    assert get_priority(TrainingDataHook.priority) < get_priority(EMAHook.priority)


def build(**options):
    return MODELS.build(
        dict(
            dict(
                type='FeatureDistiller',
                losses=[dict(type='CRDLoss', num_negatives=5)],
                embedding_matcher=dict(type='ContrastHead'),
                teacher=micro_net('vit', checkpoint='random'),
                student=micro_net('cnn'),
            ),
            **options,
        )
    )


def test_samples_without_a_place_are_refused(batch):
    model = build()
    model.losses['loss_crd'].prepare_data(LABELS)
    with pytest.raises(UserError, match='expected sample_idx in the data samples.*PackInputs'):
        model.loss(batch[0], [DataSample().set_gt_label(1) for _ in range(4)])


def test_heads_of_another_width_are_refused(batch):
    model = build(embedding_matcher=dict(type='ContrastHead', out_channels=16))
    model.losses['loss_crd'].prepare_data(LABELS)
    with pytest.raises(UserError, match='as wide as the embeddings.*out_channels'):
        model.loss(*batch)


def test_a_matcher_for_embeddings_that_no_loss_reads_is_refused():
    with pytest.raises(UserError, match='embedding_matcher: expected a loss that reads embeddings'):
        build(losses=[dict(type='HintLoss')])


def test_memories_are_of_one_teacher():
    two = [micro_net(x, checkpoint='random') for x in ('vit', 'cnn')]
    losses = [dict(type='CRDLoss', num_negatives=5, channels=32)]
    with pytest.raises(UserError, match='FeatureDistiller: expected one teacher, .*got 2'):
        build(teacher=two, losses=losses, embedding_matcher=None)
