"""Nets of all families: stages, embedding, equal logits, gradients."""

import pytest
import torch
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmpretrain.structures import DataSample
from torch import nn

from hetkd.apis import load_config
from hetkd.errors import UserError
from hetkd.models.backbones import Vim
from hetkd.models.nets import select_stages
from hetkd.registry import MODELS
from hetkd.testing import MICRO_FAMILIES, micro_net


def classifier(backbone, width, neck='GlobalAveragePooling', head='LinearClsHead', **options):
    model = dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=neck and dict(type=neck),
        head=dict(type=head, in_channels=width, num_classes=1000),
    )
    return dict(type='MMPretrainNet', num_classes=100, model=model, **options)


def timm_net(model, **options):
    return dict(type='TimmNet', model=model, num_classes=100, **options)


def mamba_net(**model):
    return dict(type='MambaNet', model=model, num_classes=100)


def pyramid(*channels, strides=(4, 8, 16, 32)):
    return [(c, s) for c, s in zip(channels, strides)]


VIT_HEAD = dict(neck=None, head='VisionTransformerClsHead')
MIXER = dict(
    type='MMPretrainNet',
    num_classes=100,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='MlpMixer', arch='s', img_size=224, patch_size=32),
        neck=dict(type='GlobalAveragePooling', dim=1),
        head=dict(type='LinearClsHead', in_channels=512, num_classes=1000),
    ),
)

# name: (config, (channels, stride) of each stage at 224, embedding width); the taps of the papers.
NETS = {
    # CNN
    'timm-resnet18': (timm_net('resnet18'), pyramid(64, 128, 256, 512), 512),
    'mm-resnet18': (classifier(dict(type='ResNet', depth=18), 512), pyramid(64, 128, 256, 512), 512),
    'mm-resnet101': (
        classifier(dict(type='ResNet', depth=101), 2048),
        pyramid(256, 512, 1024, 2048),
        2048,
    ),
    'timm-mobilenetv2': (timm_net('mobilenetv2_100'), pyramid(24, 32, 96, 1280), 1280),
    'mm-mobilenetv2': (classifier(dict(type='MobileNetV2'), 1280), pyramid(24, 32, 96, 1280), 1280),
    'timm-convnext-t': (timm_net('convnext_tiny'), pyramid(96, 192, 384, 768), 768),
    'mm-convnext-t': (
        classifier(dict(type='ConvNeXt', arch='tiny'), 768, neck=None),
        pyramid(96, 192, 384, 768),
        768,
    ),
    'mm-vgg11': (classifier(dict(type='VGG', depth=11), 512), pyramid(128, 256, 512, 512), 512),
    # Transformer
    'timm-deit-t': (timm_net('deit_tiny_patch16_224'), pyramid(*[192] * 4, strides=[16] * 4), 192),
    'timm-deit-t-distilled': (
        timm_net('deit_tiny_distilled_patch16_224'),
        pyramid(*[192] * 4, strides=[16] * 4),
        192,
    ),
    'timm-vit-s': (timm_net('vit_small_patch16_224'), pyramid(*[384] * 4, strides=[16] * 4), 384),
    'mm-deit-t': (
        classifier(dict(type='VisionTransformer', arch='deit-tiny'), 192, **VIT_HEAD),
        pyramid(*[192] * 4, strides=[16] * 4),
        192,
    ),
    'mm-vit-averaged': (
        classifier(
            dict(type='VisionTransformer', arch='deit-tiny', out_type='avg_featmap', with_cls_token=False),
            192,
            **VIT_HEAD,
        ),
        pyramid(*[192] * 4, strides=[16] * 4),
        192,
    ),
    'timm-swin-t': (timm_net('swin_tiny_patch4_window7_224'), pyramid(96, 192, 384, 768), 768),
    'mm-swin-t': (
        classifier(dict(type='SwinTransformer', arch='tiny'), 768),
        pyramid(96, 192, 384, 768),
        768,
    ),
    # MLP
    'timm-mixer-b16': (timm_net('mixer_b16_224'), pyramid(*[768] * 4, strides=[16] * 4), 768),
    'timm-resmlp-s12': (timm_net('resmlp_12_224'), pyramid(*[384] * 4, strides=[16] * 4), 384),
    'mm-mixer-s32': (MIXER, pyramid(*[512] * 4, strides=[32] * 4), 512),
    # State space
    'vim-t': (mamba_net(type='Vim', arch='tiny'), pyramid(*[192] * 4, strides=[16] * 4), 192),
    'vim-s-stride8': (
        mamba_net(type='Vim', arch='small', stride=8, depth=6),
        pyramid(*[384] * 4, strides=[8] * 4),
        384,
    ),
    'vmamba-t': (mamba_net(type='VMamba', arch='tiny'), pyramid(96, 192, 384, 768), 768),
    'vanilla-vmamba-t': (
        mamba_net(type='VMamba', arch='vanilla-tiny', depths=(1, 1, 1, 1)),
        pyramid(96, 192, 384, 768),
        768,
    ),
    'timm-mambaout': (timm_net('mambaout_femto'), pyramid(48, 96, 192, 288), 1152),
    'timm-efficientvim': (
        timm_net('efficientvim_m1'),
        pyramid(128, 192, 320, strides=(16, 32, 64)),
        960,
    ),
}


@pytest.mark.parametrize('name', NETS)
def test_stages_at_224_are_the_papers_taps_and_logits_do_not_depend_on_asking(name):
    config, stages, embedding = NETS[name]
    net = MODELS.build(config).eval()
    names = list(net.state_dict())
    assert [(x.channels, x.stride) for x in net.stage_specs] == stages
    assert net.embedding_channels == embedding
    with torch.no_grad():
        images = torch.randn(1, 3, 224, 224)
        plain, full, again = net(images), net(images, stages=True, embedding=True), net(images)
    assert plain.stages == () and plain.embedding is None
    assert [x.shape[1] for x in full.stages] == [x.channels for x in net.stage_specs]
    assert full.embedding.shape == (1, embedding)
    assert torch.equal(plain.logits, full.logits) and torch.equal(plain.logits, again.logits)
    assert list(net.state_dict()) == names, 'reading stages must not change the plain state dict'


def test_vit_l_is_built():
    net = MODELS.build(timm_net('vit_large_patch16_224'))
    assert net.num_classes == 100
    assert sum(x.numel() for x in net.parameters()) > 300e6


SMALL = {
    'resnet18': timm_net('resnet18', input_size=64),
    'mobilenetv2': timm_net('mobilenetv2_100', input_size=64),
    'mm-mobilenetv2': classifier(dict(type='MobileNetV2'), 1280, input_size=64),
    'convnext-t': timm_net('convnext_tiny', input_size=64),
    'mm-convnext-t': classifier(dict(type='ConvNeXt', arch='tiny'), 768, neck=None, input_size=64),
    'deit-t': timm_net('deit_tiny_patch16_224', input_size=64),
    'mm-deit-t': classifier(
        dict(type='VisionTransformer', arch='deit-tiny', img_size=64), 192, input_size=64, **VIT_HEAD
    ),
    'swin-t': timm_net('swin_tiny_patch4_window7_224', input_size=64),
    'mm-swin-t': classifier(
        dict(type='SwinTransformer', arch='tiny', img_size=64, pad_small_map=True), 768, input_size=64
    ),
    'resmlp-s12': timm_net('resmlp_12_224', input_size=64),
    'vim-t': dict(mamba_net(type='Vim', arch='tiny', depth=6), input_size=64),
    'vmamba-t': dict(mamba_net(type='VMamba', depths=(1, 1, 2, 1)), input_size=64),
    'vanilla-vmamba-t': dict(
        mamba_net(type='VMamba', arch='vanilla-tiny', depths=(1, 1, 1, 1)), input_size=64
    ),
    'mixer-b16': timm_net('mixer_b16_224', input_size=64),
} | {f'micro-{family}': micro_net(family, 100) for family in MICRO_FAMILIES}


@pytest.mark.parametrize('name', SMALL)
def test_every_parameter_of_student_and_connectors_gets_a_gradient(name):
    """DDP runs with find_unused_parameters=False, so no branch may be dead."""
    from mmpretrain.structures import DataSample

    student = SMALL[name]
    model = MODELS.build(
        dict(type='MLDRKD', teacher=micro_net('vit', 100, checkpoint='random'), student=student)
    ).train()
    size = student['input_size']
    samples = [DataSample().set_gt_label(i) for i in (0, 1)]
    sum(model.loss(torch.randn(2, 3, size, size), samples).values()).backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None]
    assert dead == []


def test_a_named_mmpretrain_model_takes_the_number_of_classes():
    net = MODELS.build(dict(type='MMPretrainNet', model='resnet18_8xb32_in1k', num_classes=7))
    assert net(torch.zeros(1, 3, 64, 64)).logits.shape == (1, 7)


def test_a_probe_leaves_modes_buffers_and_random_state_alone():
    net = MODELS.build(micro_net('cnn')).train()
    net.model.backbone.layer1.eval()
    modes = [x.training for x in net.modules()]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = torch.get_rng_state()
    assert len(net.stage_specs) == 4 and net.embedding_channels == 32
    assert [x.training for x in net.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    'depth, taps',
    [(4, (0, 1, 2, 3)), (6, (0, 1, 4, 5)), (12, (1, 3, 9, 11)), (24, (3, 7, 19, 23)), (2, (0, 1))],
)
def test_isotropic_nets_are_tapped_in_proportion(depth, taps):
    assert select_stages([(1, 8, 14, 14)] * depth, (224, 224)) == taps


def test_pyramids_are_tapped_at_the_last_map_of_the_four_deepest_strides():
    shapes = [(1, 8, n, n) for n in (112, 56, 56, 28, 14, 14, 7)]
    assert select_stages(shapes, (224, 224)) == (2, 3, 5, 6)


@pytest.mark.parametrize('family', ['cnn', 'vit'])
def test_stage_indices_can_be_given(family):
    net = MODELS.build(micro_net(family, stage_indices=(0, 3)))
    assert len(net.stage_specs) == 2


@pytest.mark.parametrize('indices', [(1, 2), (-4, -3)])
def test_given_timm_stages_are_those_and_not_the_deepest(indices):
    net = MODELS.build(dict(timm_net('resnet18'), input_size=64, stage_indices=indices))
    shapes = [tuple(x.shape[1:]) for x in net(torch.zeros(1, 3, 64, 64), stages=True).stages]
    assert shapes == [(64, 16, 16), (128, 8, 8)]


def test_given_stages_do_not_become_the_wide_map_of_the_head():
    net = MODELS.build(dict(timm_net('mobilenetv2_100'), input_size=64, stage_indices=(1, 2)))
    shapes = [tuple(x.shape[1:]) for x in net(torch.zeros(1, 3, 64, 64), stages=True).stages]
    assert shapes == [(24, 16, 16), (32, 8, 8)]


@pytest.mark.parametrize('name', ['resnetv2_18', 'dla34'])
def test_heads_of_convolutions_give_an_embedding_too(name):
    net = MODELS.build(dict(timm_net(name), input_size=64)).eval()
    output = net(torch.randn(1, 3, 64, 64), embedding=True)
    assert output.embedding.dim() == 2 and output.logits.shape == (1, 100)


@pytest.mark.parametrize('indices', [(1, 2), (-3, -2)])
def test_given_mmpretrain_stages_may_be_counted_from_the_end(indices):
    net = MODELS.build(micro_net('cnn', stage_indices=indices))
    assert [x.channels for x in net.stage_specs] == [8, 16]


def test_an_image_size_among_the_model_arguments_is_the_nets_size():
    net = MODELS.build(
        dict(timm_net('vit_tiny_patch16_224'), model_kwargs=dict(img_size=32, patch_size=8, depth=1))
    )
    assert net.input_spec.size == (32, 32) and net.embedding_channels == 192


MOBILENET_V3 = dict(
    type='MMPretrainNet',
    num_classes=10,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='MobileNetV3', arch='small'),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='StackedLinearClsHead',
            num_classes=10,
            in_channels=576,
            mid_channels=[64],
            dropout_rate=0.5,
            act_cfg=dict(type='HSwish'),
        ),
    ),
)


@pytest.mark.parametrize(
    'config, last',
    [
        (MOBILENET_V3, lambda net: net.model.head.layers[-1]),
        (dict(timm_net('resnet18'), model_kwargs=dict(drop_rate=0.5)), lambda net: net.model.fc),
        (timm_net('mobilenetv4_conv_small'), lambda net: net.model.classifier),
    ],
)
def test_the_embedding_is_what_the_last_layer_saw_in_training_too(config, last):
    """The head runs once: dropout is drawn once, batch norm counts once."""
    net = MODELS.build(config).train()
    output = net(torch.randn(2, 3, 64, 64), embedding=True)
    assert torch.equal(last(net)(output.embedding), output.logits)
    counts = {int(v) for k, v in net.state_dict().items() if k.endswith('num_batches_tracked')}
    assert counts == {1}


@pytest.mark.parametrize('name', ['shvit_s1', 'efficientvit_m0'])
def test_a_head_that_normalises_keeps_its_logits_where_the_embedding_is_asked_for(name):
    net = MODELS.build(dict(timm_net(name), input_size=64)).eval()
    images = torch.randn(1, 3, 64, 64)
    net(images, embedding=True)
    norm = next(x for x in net.model.head.modules() if isinstance(x, nn.BatchNorm1d))
    norm.running_mean.fill_(1.0)  # as after training
    assert torch.equal(net(images).logits, net(images, embedding=True).logits)


def test_a_probe_at_a_size_that_a_net_does_not_take_says_so():
    net = MODELS.build(dict(timm_net('crossvit_9_240'), input_size=64))
    with pytest.raises(UserError, match='CrossVit: expected images of a size that it takes, got 64x64 px'):
        _ = net.embedding_channels


STARTS = {
    'timm-fc': timm_net('resnet18'),
    'timm-head': timm_net('vit_tiny_patch16_224', input_size=32, model_kwargs=dict(depth=1)),
    'timm-classifier': timm_net('mobilenetv2_050'),
    'mm': classifier(dict(type='ResNet_CIFAR', depth=18, stem_channels=4, base_channels=4), 32),
}


@pytest.mark.parametrize('name', STARTS)
def test_a_file_with_another_head_is_a_start(name, tmp_path):
    trained = MODELS.build(dict(STARTS[name], num_classes=12))
    state, path = trained.model.state_dict(), str(tmp_path / 'start.pth')
    torch.save(dict(state_dict=state), path)
    net = MODELS.build(dict(STARTS[name], num_classes=5, pretrained=path))
    other = {k for k, v in net.model.state_dict().items() if v.shape != state[k].shape}
    assert len(other) == 2 and all(v.shape[0] == 5 for k, v in net.model.state_dict().items() if k in other)
    assert all(torch.equal(v, state[k]) for k, v in net.model.state_dict().items() if k not in other)
    net.init_weights()  # as the runner does
    assert all(torch.equal(v, state[k]) for k, v in net.model.state_dict().items() if k not in other)
    whole = MODELS.build(dict(STARTS[name], num_classes=12, pretrained=path))
    assert all(torch.equal(v, state[k]) for k, v in whole.model.state_dict().items())


@pytest.mark.parametrize('name', STARTS)
@pytest.mark.parametrize('change', ['missing', 'unexpected', 'shape'])
def test_a_start_is_strict_but_for_the_head(name, change, tmp_path):
    state = dict(MODELS.build(dict(STARTS[name], num_classes=12)).model.state_dict())
    first = next(key for key, value in state.items() if value.dim() > 1)
    if change == 'missing':
        state.pop(first)
    else:
        state[first if change == 'shape' else 'stranger'] = torch.zeros(3, 3)
    path = str(tmp_path / 'start.pth')
    torch.save(state, path)
    with pytest.raises(
        ValueError,
        match=f'(?s)start.pth: expected the weights of.*{"stranger" if change == "unexpected" else first}',
    ):
        MODELS.build(dict(STARTS[name], num_classes=5, pretrained=path))


def test_a_head_of_several_logits_is_refused():
    conformer = dict(type='ImageClassifier', backbone=dict(type='Conformer', arch='tiny'))
    conformer['head'] = dict(type='ConformerHead', in_channels=[256, 384], num_classes=10)
    net = MODELS.build(dict(type='MMPretrainNet', model=conformer, num_classes=10)).eval()
    with pytest.raises(UserError, match='ConformerHead: expected logits and embedding as tensors.*TimmNet'):
        net(torch.zeros(1, 3, 224, 224))


def test_a_head_without_a_number_of_classes_is_refused():
    with pytest.raises(UserError, match='head: expected one that takes num_classes, got ClsHead'):
        MODELS.build(dict(type='MMPretrainNet', model='vgg11bn_8xb32_in1k', num_classes=10))


@pytest.mark.parametrize(
    'kind, name, near',
    [
        ('TimmNet', 'resnet81', 'resnet18'),
        ('MMPretrainNet', 'resnet18_8xb32_in2k', 'resnet18_8xb32_in1k'),
    ],
)
def test_an_unknown_model_name_suggests_near_ones(kind, name, near):
    with pytest.raises(UserError, match=f'got {name!r}; did you mean.*{near}'):
        MODELS.build(dict(type=kind, model=name, num_classes=10))


@pytest.mark.parametrize('algorithm', ['MLDRKD', 'HCD', 'OFA'])
def test_a_teacher_without_stages_may_teach_where_none_are_read(algorithm):
    alexnet = classifier(dict(type='AlexNet'), 4096, neck=None)
    alexnet['model']['head'] = dict(type='LinearClsHead', in_channels=4096, num_classes=100)
    alexnet['model']['backbone'] = dict(type='AlexNet')
    teacher = dict(type='TimmNet', model='resnet10t', num_classes=100, checkpoint='random')
    model = dict(type=algorithm, teacher=teacher, student=micro_net('cnn', 100))
    built = MODELS.build(model)
    assert 'stage_specs' not in vars(built.teacher.net)


def test_a_feature_loss_on_a_teacher_without_stages_is_refused_with_the_way_out():
    flat = dict(classifier(dict(type='AlexNet'), 4096, neck=None), checkpoint='random')
    model = dict(type='FeatureDistiller', teacher=flat, student=micro_net('cnn', 100))
    with pytest.raises(UserError, match='expected a backbone with stages.*logits or embeddings'):
        MODELS.build(dict(model, losses=[dict(type='HintLoss')]))


def test_a_student_without_stages_is_refused_with_the_way_out():
    lenet = classifier(dict(type='AlexNet'), 4096, neck=None)
    with pytest.raises(UserError, match='expected a backbone with stages.*method on logits or embeddings'):
        MODELS.build(dict(type='MLDRKD', teacher=micro_net('vit', 100, checkpoint='random'), student=lenet))


@pytest.mark.parametrize('method', ['kd', 'rsd', 'rkd', 'cc'])
def test_a_student_without_stages_takes_methods_on_logits_and_embeddings(method, monkeypatch):
    """As docs/en/nets.md says."""

    class Plain(nn.Module):
        init_cfg = None

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, 2)

        def forward(self, x):
            return (self.conv(x),)

    monkeypatch.setitem(MMPRETRAIN_MODELS.module_dict, 'Plain', Plain)
    pair = dict(teacher=micro_net('vit', 100, checkpoint='random'))
    pair['student'] = classifier(dict(type='Plain'), 8, input_size=32)
    model = MODELS.build(
        dict(load_config('hetkd::mldrkd/vit-micro_cnn-micro_digits', method=method).model, **pair)
    )
    samples = [DataSample().set_gt_label(i) for i in range(3)]
    losses = model.loss(torch.randn(3, 3, 32, 32), samples)
    assert len(losses) == 2 and all(x.isfinite() for x in losses.values())


@pytest.mark.parametrize('indices', [(), (3, 1), (1, 1)])
@pytest.mark.parametrize('family', ['vit', 'cnn', 'vim'])
def test_stages_are_chosen_from_shallow_to_deep(indices, family):
    with pytest.raises(UserError, match='stage_indices: expected some, from shallow to deep'):
        MODELS.build(micro_net(family, stage_indices=indices))


@pytest.mark.parametrize('size', [34, 36, 40, 44, 64, 100])
def test_strides_count_halvings_at_any_size(size):
    """So that a projector has as many blocks as there are halvings to the last stage."""
    net = MODELS.build(timm_net('resnet10t', input_size=size))
    assert [x.stride for x in net.stage_specs] == [4, 8, 16, 32]


@pytest.mark.parametrize('kind', ['Vim', 'hetkd.Vim', Vim])
def test_a_vim_is_of_its_size_however_it_is_named(kind):
    config = micro_net('vim', input_size=64)
    net = MODELS.build(dict(config, model=dict(config['model'], type=kind)))
    assert net.model.img_size == (64, 64)


def test_a_backbone_of_ones_own_has_stages():
    """As docs/en/add_a_net.md says: out_indices, and the blocks in a list."""

    class Own(BaseBackbone):
        def __init__(self, out_indices=(1,)):
            super().__init__()
            self.stages = nn.ModuleList([nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)])
            self.out_indices = out_indices

        def forward(self, x):
            outputs = []
            for index, stage in enumerate(self.stages):
                x = stage(x)
                outputs += [x] * (index in self.out_indices)
            return tuple(outputs)

    MMPRETRAIN_MODELS.register_module(module=Own, force=True)
    try:
        net = MODELS.build(classifier(dict(type='Own'), 16, input_size=32))
    finally:
        MMPRETRAIN_MODELS.module_dict.pop('Own')
    assert [(x.channels, x.stride) for x in net.stage_specs] == [(8, 2), (16, 4)]
    assert net.embedding_channels == 16


@pytest.mark.parametrize('prefix, fits', [('backbone.', True), ('', False)])
def test_an_init_cfg_of_another_nets_file_is_refused(prefix, fits, tmp_path):
    config = micro_net('cnn')
    state = MODELS.build(config).model.state_dict()
    torch.save({k if fits else f'other.{k}': v for k, v in state.items()}, tmp_path / 'x.pth')
    config['model']['backbone']['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'x.pth'), prefix=prefix or 'other'
    )
    net = MODELS.build(config)
    if fits:
        net.init_weights()
        loaded = net.model.backbone.state_dict()
        assert all(torch.equal(x, state['backbone.' + key]) for key, x in loaded.items())
    else:
        with pytest.raises(UserError, match=r'backbone.init_cfg: expected a file of a .* no weight fits'):
            net.init_weights()


@pytest.mark.parametrize('key', ['train_cfg', 'data_preprocessor'])
def test_what_a_net_would_not_read_is_refused(key):
    config = micro_net('cnn')
    config['model'][key] = dict(augments=[dict(type='Mixup', alpha=0.8)])
    with pytest.raises(UserError, match=f'model: expected a net alone.*got {key} as well'):
        MODELS.build(config)
