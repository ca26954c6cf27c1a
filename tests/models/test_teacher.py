"""The teacher is safe: each known way to lose one has a test."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from hetkd.errors import UserError
from hetkd.functional import kd_loss
from hetkd.models import FrozenTeacher
from hetkd.models.distillers import Teacher
from hetkd.models.nets import NetOutput
from hetkd.registry import MODELS
from hetkd.testing import MICRO_FAMILIES, micro_net


def distiller(teacher='cnn', student='vit', **options):
    return MODELS.build(
        dict(
            type='MLDRKD',
            teacher=micro_net(teacher, checkpoint='random'),
            student=micro_net(student),
            **options,
        )
    )


def weights_of(teacher):
    return {k: v.clone() for k, v in teacher.net.state_dict().items()}


def unchanged(teacher, before):
    return all(torch.equal(v, before[k]) for k, v in teacher.net.state_dict().items())


def step(model, batch):
    inputs, samples = batch
    optimizer = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=0.1)))
    optimizer.update_params(sum(model.loss(inputs, samples).values()))


@pytest.mark.parametrize('family', MICRO_FAMILIES)
def test_init_weights_does_not_wipe_it(family):
    model = distiller(teacher=family)
    before = weights_of(model.teacher)
    model.init_weights()
    assert unchanged(model.teacher, before)


@pytest.mark.parametrize('family', MICRO_FAMILIES)
def test_a_seed_gives_one_student_whatever_the_method_and_the_teacher(family):
    """A net of mmpretrain gets its weights from the runner, when the connectors have drawn theirs."""
    students = []
    for config in (
        dict(type='NetClassifier'),
        dict(type='MLDRKD', teacher=micro_net('vit', checkpoint='random')),
        dict(type='HCD', teacher=micro_net('cnn', checkpoint='random')),
        dict(type='MLDRKD', teacher=micro_net('mlp', checkpoint='random')),
    ):
        torch.manual_seed(5)
        model = MODELS.build(dict(config, student=micro_net(family)))
        model.init_weights()
        students.append(list(model.student.parameters()))
    first, *others = students
    assert all(all(map(torch.equal, first, other)) for other in others)


@pytest.mark.parametrize('family', MICRO_FAMILIES)
def test_init_weights_does_not_wipe_a_loaded_student(family, tmp_path):
    source = MODELS.build(micro_net(family))
    path = str(tmp_path / 'x.pth')
    torch.save(source.model.state_dict(), path)
    model = MODELS.build(dict(type='NetClassifier', student=micro_net(family, checkpoint=path)))
    model.init_weights()
    loaded = model.student.model.state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in source.model.state_dict().items())


def test_train_keeps_all_of_it_in_eval():
    net = dict(type='TimmNet', model='resnet10t', num_classes=10, checkpoint='random', input_size=32)
    net['model_kwargs'] = dict(drop_rate=0.5, drop_path_rate=0.5)
    model = MODELS.build(dict(type='LogitDistiller', teacher=net, student=micro_net('vit'))).train()
    kinds = {type(x) for x in model.teacher.net.modules()}
    assert nn.BatchNorm2d in kinds or any('BatchNorm' in x.__name__ for x in kinds)
    assert not any(x.training for x in model.teacher.net.modules())
    assert model.student.training
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(model.teacher(images).logits, model.teacher(images).logits)


def test_a_step_changes_neither_its_weights_nor_its_batch_norm(batch):
    model = distiller(teacher='cnn').train()
    before = weights_of(model.teacher)
    step(model, batch)
    assert unchanged(model.teacher, before)


def test_it_gets_and_gives_no_gradient(batch):
    model = distiller().train()
    sum(model.loss(*batch).values()).backward()
    assert all(p.grad is None and not p.requires_grad for p in model.teacher.net.parameters())
    images = batch[0].clone().requires_grad_()
    output = model.teacher(images, stages=True, embedding=True)
    assert not any(x.requires_grad for x in (output.logits, output.embedding, *output.stages))


def test_it_is_not_in_parameters_modules_optimizer_or_checkpoint():
    model = distiller()
    theirs = {id(x) for x in [*model.teacher.net.parameters(), *model.teacher.net.buffers()]}
    mine = {id(x) for x in [*model.parameters(), *model.buffers()]}
    assert not theirs & mine
    assert not set(model.teacher.net.modules()) & set(model.modules())
    assert {k.split('.')[0] for k in model.state_dict()} == {'student', 'projector', 'fusion'}
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.1)))
    optimised = {id(p) for group in wrapper.optimizer.param_groups for p in group['params']}
    assert optimised == {id(p) for p in model.parameters()}


def test_it_is_not_in_ddp():
    torch.distributed.init_process_group('gloo', rank=0, world_size=1, store=torch.distributed.HashStore())
    try:
        model = distiller()
        wrapped = DistributedDataParallel(model)
        bucketed = {id(p) for p in wrapped._module_parameters}
        assert not bucketed & {id(p) for p in model.teacher.net.parameters()}
        assert bucketed == {id(p) for p in model.parameters()}
    finally:
        torch.distributed.destroy_process_group()


def test_copies_and_ema_share_it():
    model = distiller()
    assert deepcopy(model).teacher.net is model.teacher.net
    ema = ExponentialMovingAverage(model)
    assert ema.module.teacher.net is model.teacher.net
    assert not any('teacher' in key for key in ema.state_dict())


def test_it_follows_dtype_and_device():
    model = distiller().double()
    assert next(model.teacher.net.parameters()).dtype == torch.float64
    model.to('meta')
    assert next(model.teacher.net.parameters()).device.type == 'meta'


def test_its_input_is_renormalised():
    data = dict(mean=[10.0, 20.0, 30.0], std=[2.0, 3.0, 4.0])
    own = dict(mean=[127.5] * 3, std=[50.0, 60.0, 70.0])
    teacher = FrozenTeacher(micro_net('cnn', checkpoint='random', **own), data['mean'], data['std'])
    pixels = torch.rand(2, 3, 32, 32) * 255
    as_data, as_own = (
        (pixels - torch.tensor(x['mean']).view(3, 1, 1)) / torch.tensor(x['std']).view(3, 1, 1)
        for x in (data, own)
    )
    torch.testing.assert_close(teacher.prepare(as_data), as_own, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(teacher(as_data).logits, teacher.net(as_own).logits)


def test_a_mean_without_a_std_is_refused():
    with pytest.raises(UserError, match='expected mean and std together'):
        FrozenTeacher(micro_net('cnn', checkpoint='random', mean=[0.0] * 3))


def test_the_distiller_tells_it_the_datas_normalisation():
    model = distiller(data_preprocessor=dict(mean=[10.0] * 3, std=[2.0] * 3))
    assert model.teacher._affine is None, 'the net declares nothing, so it takes what the data gives'
    teacher = micro_net('cnn', checkpoint='random', mean=[0.0] * 3, std=[1.0] * 3)
    model = MODELS.build(
        dict(
            type='LogitDistiller',
            teacher=teacher,
            student=micro_net('cnn'),
            data_preprocessor=dict(mean=[10.0] * 3, std=[2.0] * 3),
        )
    )
    assert torch.equal(model.teacher.prepare(torch.zeros(1, 3, 32, 32)), torch.full((1, 3, 32, 32), 10.0))


def test_equal_normalisation_costs_nothing():
    same = dict(mean=[10.0] * 3, std=[2.0] * 3)
    teacher = FrozenTeacher(micro_net('cnn', checkpoint='random', **same), same['mean'], same['std'])
    images = torch.randn(1, 3, 32, 32)
    assert teacher.prepare(images) is images


def test_pretrained_timm_nets_declare_their_normalisation(monkeypatch):
    """Without a download: timm is asked not to load, but the net is told that it did."""
    import timm

    create = timm.create_model
    monkeypatch.setattr('hetkd.models.nets.timm_net.check_hub', lambda *args: None)
    monkeypatch.setattr(timm, 'create_model', lambda *a, **k: create(*a, **{**k, 'pretrained': False}))
    net = MODELS.build(
        dict(type='TimmNet', model='vit_tiny_patch16_224.augreg_in21k', num_classes=10, pretrained=True)
    )
    assert net.input_spec.mean == (127.5, 127.5, 127.5)
    assert net.has_weights


def test_its_input_is_resized_to_its_own_size():
    teacher = FrozenTeacher(micro_net('vit', checkpoint='random'))
    assert teacher.prepare(torch.randn(2, 3, 48, 64)).shape == (2, 3, 32, 32)
    assert teacher(torch.randn(2, 3, 64, 64)).logits.shape == (2, 10)


@pytest.mark.parametrize('key', [None, 'bilinear', 'bicubic'])
@pytest.mark.parametrize('recorded', [None, 'bilinear', 'bicubic'])
def test_its_input_is_resized_as_it_was_trained(recorded, key, tmp_path):
    """The key, else the filter that the file records, else bicubic; they may not differ."""
    net = MODELS.build(micro_net('cnn', checkpoint='random'))
    path = tmp_path / 'teacher.pth'
    torch.save(
        dict(state_dict=net.model.state_dict(), meta={} if recorded is None else {'resize': recorded}), path
    )
    config = dict(micro_net('cnn', checkpoint=str(path)), input_size=48)
    config |= {} if key is None else {'resize': key}
    if key and recorded and key != recorded:
        with pytest.raises(
            UserError, match=f"teacher.resize: expected '{recorded}', which .*teacher.pth was"
        ):
            FrozenTeacher(config)
        return
    teacher = FrozenTeacher(config)
    images = torch.randn(2, 3, 32, 32)
    mode = key or recorded or 'bicubic'
    expected = F.interpolate(images, (48, 48), mode=mode, antialias=True)
    assert torch.equal(teacher.prepare(images), expected) and teacher.describe()['resize'] == mode


def test_a_net_without_a_size_of_its_own_takes_the_datas():
    teacher = FrozenTeacher(dict(type='TimmNet', model='resnet10t', num_classes=10, checkpoint='random'))
    images = torch.randn(2, 3, 40, 40)
    assert teacher.prepare(images) is images


def test_a_copy_on_another_device_leaves_the_teacher_where_it_is(batch):
    """EMA may keep its copy on the CPU or in another type."""
    from mmengine.model import ExponentialMovingAverage

    model = MODELS.build(
        dict(type='LogitDistiller', teacher=micro_net('vit', checkpoint='random'), student=micro_net('cnn'))
    )
    averaged = ExponentialMovingAverage(model, device='meta').module
    assert {p.device.type for p in model.teacher.net.parameters()} == {'cpu'}
    assert averaged.teacher.net is model.teacher.net
    averaged.half()
    assert {p.dtype for p in model.teacher.net.parameters()} == {torch.float32}
    assert model.loss(*batch)['loss_kd'].isfinite()


def test_a_registered_teacher_of_ones_own_is_built_as_it_stands(batch):
    class Constant(Teacher):
        num_classes, classes, embedding_channels, stage_specs = 10, None, 4, ()

        def __init__(self, net, weight=1.0):
            super().__init__(weight)

        def describe(self):
            return {}

        def digest(self):
            return ''

        def __call__(self, inputs, index=None, stages=False, embedding=False, logits=True):
            return NetOutput(inputs.new_zeros(len(inputs), 10))

        def validate(self, inputs, index=None):
            return None

    MODELS.register_module(module=Constant)
    try:
        teacher = dict(type='Constant', net=micro_net('cnn'), weight=2.0)
        model = MODELS.build(dict(type='LogitDistiller', teacher=teacher, student=micro_net('cnn'))).double()
    finally:
        MODELS.module_dict.pop('Constant')
    assert type(model.teacher) is Constant and deepcopy(model).teacher is model.teacher
    inputs, samples = batch[0].double(), batch[1]
    logits = model.student(inputs).logits
    expected = 2 * kd_loss(logits, torch.zeros_like(logits))
    torch.testing.assert_close(model.loss(inputs, samples)['loss_kd'], expected)


def test_another_class_count_is_refused():
    with pytest.raises(UserError, match='teacher: expected 10 classes as the student has, got 7'):
        MODELS.build(
            dict(
                type='LogitDistiller',
                teacher=micro_net('cnn', 7, checkpoint='random'),
                student=micro_net('cnn'),
            )
        )


def test_a_teacher_without_weights_is_refused():
    with pytest.raises(UserError, match='expected trained weights, got none'):
        FrozenTeacher(micro_net('cnn'))


def test_only_what_is_needed_is_asked_of_the_nets(batch, monkeypatch):
    model = MODELS.build(
        dict(type='LogitDistiller', teacher=micro_net('vit', checkpoint='random'), student=micro_net('cnn'))
    )
    asked = []
    for net in (model.teacher.net, model.student):
        forward = net.forward
        monkeypatch.setattr(
            net, 'forward', lambda x, forward=forward, **k: asked.append(k) or forward(x, **k)
        )
    model.loss(*batch)
    assert asked == [dict(logits=True, stages=False, embedding=False), {}]
    for net in (model.teacher.net, model.student):
        assert not {'stage_specs', 'embedding_channels'} & set(vars(net))
