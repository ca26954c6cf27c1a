"""Nets without a number of classes take the data preprocessor's."""

import pytest
from mmengine.config import Config

from hetkd.apis import init_model, student_config
from hetkd.apis.analysis import open_run
from hetkd.apis.complexity import complexity
from hetkd.apis.deploy import build_teacher
from hetkd.errors import UserError
from hetkd.registry import MODELS
from hetkd.testing import micro_net


def net(family, **options):
    config = micro_net(family, **options)
    del config['num_classes']
    return config


def teacher(family='vit', **options):
    return net(family, checkpoint='random', **options)


@pytest.mark.parametrize('algorithm', ['LogitDistiller', 'MLDRKD'])
def test_student_and_teachers_take_that_of_the_preprocessor(algorithm):
    pair = dict(teacher=[teacher('vit'), teacher('swin')], student=net('cnn'))
    model = MODELS.build(dict(type=algorithm, data_preprocessor=dict(num_classes=7), **pair))
    assert [x.num_classes for x in (model.student, *model.teachers)] == [7, 7, 7]
    assert 'num_classes' not in pair['student'], 'the config is left as it is'


def test_a_teacher_named_by_its_type_takes_it_too():
    config = dict(type='FrozenTeacher', net=teacher(mean=[0.0] * 3, std=[1.0] * 3))
    data = dict(num_classes=7, mean=[10.0] * 3, std=[2.0] * 3)
    model = MODELS.build(
        dict(type='LogitDistiller', teacher=config, student=net('cnn'), data_preprocessor=data)
    )
    assert model.teacher.num_classes == 7 and model.teacher._affine is not None


def test_a_number_in_the_nets_config_wins():
    """ClassCheckHook compares it with the data and the preprocessor before the first step."""
    data = dict(num_classes=7)
    model = MODELS.build(dict(type='NetClassifier', student=micro_net('cnn'), data_preprocessor=data))
    assert model.student.num_classes == 10
    config = dict(type='LogitDistiller', teacher=teacher(), student=micro_net('cnn'), data_preprocessor=data)
    with pytest.raises(UserError, match='teacher: expected 10 classes as the student has, got 7'):
        MODELS.build(config)


@pytest.mark.parametrize('who', ['student', 'teacher'])
def test_no_number_at_all_is_refused(who):
    nets = dict(teacher=micro_net('vit', checkpoint='random'), student=micro_net('cnn'))
    del nets[who]['num_classes']
    with pytest.raises(UserError, match='num_classes: expected it in .*Net.*preprocessor, got neither'):
        MODELS.build(dict(type='LogitDistiller', **nets))


@pytest.mark.parametrize('place', ['top', 'model'])
def test_whatever_builds_a_net_from_a_config_takes_it(place):
    data = dict(num_classes=7, mean=[0.0] * 3, std=[1.0] * 3)
    cfg = Config(dict(model=dict(type='LogitDistiller', teacher=teacher(), student=net('cnn'))))
    cfg.merge_from_dict(dict(data_preprocessor=data) if place == 'top' else {'model.data_preprocessor': data})
    cfg.test_dataloader = dict(dataset=dict(type='Digits', pipeline=[dict(type='PackInputs')]))
    classifier = MODELS.build(student_config(cfg))
    models = [classifier, open_run(cfg, 'random', 'cpu'), init_model(cfg)]
    assert [x.student.num_classes for x in models] == [7] * 3
    assert models[1].teacher.num_classes == build_teacher(cfg, classifier).net.num_classes == 7
    assert complexity(cfg)['parameters']['teacher'] == sum(
        x.numel() for x in MODELS.build(micro_net('vit', 7)).parameters()
    )
