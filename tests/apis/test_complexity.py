"""Counting FLOPs of teacher, student and train-only parts."""

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from hetkd.apis import load_config
from hetkd.apis.complexity import complexity
from hetkd.apis.deploy import Deployed, build_teacher
from hetkd.models import NetClassifier
from hetkd.registry import MODELS
from hetkd.testing import micro_net


def count(model, **options):
    return complexity(
        Config(dict(model=dict(model, data_preprocessor=dict(mean=[0] * 3, std=[1] * 3)))), **options
    )


def test_a_vit_is_counted_as_on_paper():
    """Per block: qkv and projection 4 T D^2, attention 2 T^2 D, MLP 8 T D^2. The head sees one token."""
    width, depth, tokens, patch = 16, 4, 17, 8
    block = 4 * tokens * width**2 + 2 * tokens**2 * width + 8 * tokens * width**2
    expected = 16 * 3 * patch**2 * width + depth * block + width * 10
    model = dict(type='LogitDistiller', teacher=micro_net('vit'), student=micro_net('vit'))
    found = count(model)
    assert found['forward'] == {'teacher': expected, 'student': expected, 'train_only': 0}
    # Two products backward per product forward; the input of the patch embedding needs no gradient.
    assert found['step']['student'] == pytest.approx(3 * expected - 16 * 3 * patch**2 * width, rel=0.05)
    assert found['step']['teacher'] == expected
    assert found['parameters']['teacher'] == found['parameters']['student']


def test_convolutions_with_groups_cost_backward_twice_their_forward():
    """MLDR-KD's StageProjector has depthwise convolutions, which torch counts too high."""
    model = dict(type='MLDRKD', teacher=micro_net('vit'), student=micro_net('cnn'))
    found = count(model, batch_size=2)
    ratio = found['step']['train_only'] / found['forward']['train_only']
    assert 2.5 < ratio < 3.5


@pytest.mark.parametrize('method', ['crd', 'hcd', 'fitnet'])
def test_methods_of_all_kinds_are_counted_without_any_weight_file(method):
    found = complexity(load_config('configs/mldrkd/vit-micro_cnn-micro_digits.py', method=method))
    assert all(value > 0 for part in found.values() for value in part.values())


def test_a_student_without_a_teacher_and_a_shape():
    cfg = load_config('configs/mldrkd/vit-micro_cnn-micro_digits.py', method='scratch')
    small, large = complexity(cfg), complexity(cfg, (32, 32))
    assert small['forward']['teacher'] == small['parameters']['train_only'] == 0
    assert large['forward']['student'] / small['forward']['student'] == pytest.approx(4, rel=0.01)
    init_default_scope('hetkd')
    student = MODELS.build(dict(cfg.model.student, num_classes=10))
    assert small['parameters']['student'] == sum(x.numel() for x in student.parameters())


def test_a_teachers_own_keys_and_a_cache_count_as_its_net(tmp_path):
    plain = load_config('configs/mldrkd/vit-micro_cnn-micro_digits.py', method='kd')
    expected = complexity(plain)
    student = NetClassifier(plain.model.student, data_preprocessor=plain.data_preprocessor)
    for option in (dict(dtype='bfloat16'), dict(channels_last=True), dict(compile=True), dict(weight=0.5)):
        cfg = load_config('configs/mldrkd/vit-micro_cnn-micro_digits.py', method='kd')
        cfg.model.teacher.update(option)
        assert complexity(cfg) == expected
        assert isinstance(build_teacher(cfg, student), Deployed)
    cfg.model.teacher.cache = str(tmp_path)
    assert complexity(cfg) == expected
    assert isinstance(build_teacher(cfg, student), Deployed)
