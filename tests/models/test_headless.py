"""Teachers without a class head serve the methods that read no logits, and are refused by the others."""

import pytest
import torch
from mmengine.config import Config

from hetkd.apis.analysis import teacher_of
from hetkd.apis.complexity import complexity
from hetkd.apis.deploy import build_teacher
from hetkd.errors import UserError
from hetkd.models.distillers.base import WITHOUT_LOGITS
from hetkd.registry import MODELS
from hetkd.testing import micro_net
from tests.conftest import ROOT

SMALL = dict(embed_dim=32, depth=4, num_heads=2)
SWIN = dict(patch_size=2, embed_dim=8, depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 2), window_size=4)
MIXER = dict(
    type='MlpMixer',
    arch=dict(embed_dims=16, num_layers=4, tokens_mlp_dims=8, channels_mlp_dims=32),
    img_size=32,
    patch_size=8,
)


def timm_net(model, size, **kwargs):
    return dict(type='TimmNet', model=model, input_size=size, model_kwargs=kwargs)


def backbone(**config):
    return dict(type='MMPretrainNet', model=dict(type='ImageClassifier', backbone=config), input_size=32)


TEACHERS = {
    'vit of another size': (timm_net('vit_small_patch16_224', 48, **SMALL), 32),
    'dinov2 with registers': (timm_net('vit_small_patch14_reg4_dinov2', 56), 384),
    'clip': (timm_net('vit_base_patch32_clip_224', 64, **SMALL), 32),
    'clip with a resnet': (timm_net('resnet50_clip', 64), 2048),
    'siglip': (timm_net('vit_base_patch16_siglip_224', 48, **SMALL), 32),
    'swin': (timm_net('swin_tiny_patch4_window7_224', 32, **SWIN), 64),
    'mmpretrain resnet': (
        backbone(type='ResNet_CIFAR', depth=18, stem_channels=4, base_channels=4),
        32,
    ),
    'mmpretrain vit': (
        backbone(type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=8),
        192,
    ),
    'mmpretrain zoo': (dict(type='MMPretrainNet', model='resnet18_8xb16_cifar10', input_size=32), 512),
}


def teacher(name):
    return dict(TEACHERS[name][0], num_classes=0, checkpoint='random')


def method(name):
    """Its config, with few negatives for CRD's four images."""
    model = Config.fromfile(ROOT / f'configs/_base_/methods/{name}.py').to_dict()['model']
    if name == 'crd':
        model['losses'][0]['num_negatives'] = 6
    return model


def build(name, config):
    model = MODELS.build(dict(method(name), teacher=config, student=micro_net('cnn')))
    if name == 'crd':
        model.losses['loss_crd'].prepare_data(torch.arange(8) % 3)
    return model.train()


METHODS = {x.stem for x in (ROOT / 'configs/_base_/methods').glob('*.py')} - {'scratch'}
SERVED = set(WITHOUT_LOGITS.replace(' or ', ', ').split(', '))


@pytest.mark.parametrize('name', TEACHERS)
def test_a_net_without_a_head_gives_stages_and_the_embedding_and_no_logits(name):
    net = MODELS.build(teacher(name)).eval()
    images = torch.randn(2, 3, *net.probe_size)
    with torch.no_grad():
        output = net(images, stages=True, embedding=True)
    assert output.logits is None and net.num_classes == 0 and not getattr(net.model, 'with_head', False)
    assert output.embedding.shape == (2, net.embedding_channels) == (2, TEACHERS[name][1])
    assert len(net.stage_specs) == len(output.stages) >= 3
    assert all(x.dim() == 4 and x.isfinite().all() for x in output.stages)


@pytest.mark.parametrize('name', TEACHERS)
def test_it_teaches_by_stages_and_by_embeddings(name, batch):
    """A student at 32 px; the teacher sees the images at its own size."""
    for one in ('fitnet', 'rkd'):
        losses = build(one, teacher(name)).loss(*batch)
        assert len(losses) == 2 and all(x.isfinite() for x in losses.values())
        sum(losses.values()).backward()


@pytest.mark.parametrize('name', sorted(SERVED))
def test_every_method_without_logits_takes_it(name, batch):
    model = build(name, teacher('vit of another size'))
    assert 'logits' not in model.teacher_needs
    losses = model.loss(*batch)
    assert all(x.isfinite() and x > 0 for x in losses.values())


@pytest.mark.parametrize('name', sorted(METHODS - SERVED))
def test_every_other_method_refuses_it_by_name(name):
    config = method(name)
    if 'type' not in config:
        config['type'] = 'OFA'
    with pytest.raises(UserError) as info:
        MODELS.build(dict(config, teacher=teacher('vit of another size'), student=micro_net('cnn')))
    names = ', '.join(x['type'] for x in config.get('logit_losses', config.get('losses', ())))
    assert info.value.what == config['type'] + (f' ({names})' if names else '')
    assert all(f'{x}' in info.value.fix for x in SERVED) and 'num_classes=0' in info.value.got


def test_a_loss_on_logits_beside_or_among_those_on_features_refuses_it(batch):
    class Reader(torch.nn.Module):
        needs = ('logits', 'embedding')

        def forward(self, student, teacher, target):
            return (student.logits - teacher.logits).square().mean() + teacher.embedding.mean()

    MODELS.register_module(module=Reader)
    try:
        for more in (dict(logit_losses=[dict(type='KDLoss')]), dict(losses=[dict(type='Reader')])):
            ((reader,),) = more.values()
            config = dict(dict(type='FeatureDistiller', losses=[dict(type='RKDLoss')]), **more)
            with pytest.raises(
                UserError, match=rf'FeatureDistiller \({reader["type"]}\): expected a teacher'
            ):
                MODELS.build(dict(config, teacher=teacher('vit of another size'), student=micro_net('cnn')))
            online = dict(config, teacher=micro_net('vit', checkpoint='random'), student=micro_net('cnn'))
            assert all(x.isfinite() for x in MODELS.build(online).loss(*batch).values())
    finally:
        MODELS.module_dict.pop('Reader')


def test_logits_that_nobody_reads_are_not_computed(batch, monkeypatch):
    model = build('rkd', micro_net('vit', checkpoint='random'))
    before = model.loss(*batch)
    net = model.teacher.net
    monkeypatch.setattr(net.model.head, 'forward', None)
    monkeypatch.setattr(net, '_logits', None)
    after = model.loss(*batch)
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert model.teacher(batch[0], logits=False).logits is None


def test_the_embedding_is_that_of_the_net_with_a_head(batch):
    for config in (micro_net('vit'), micro_net('swin'), micro_net('cnn'), micro_net('mlp')):
        whole = MODELS.build(config).eval()
        bare = MODELS.build(dict(config, num_classes=0)).eval()
        bare.model.load_state_dict(whole.model.state_dict(), strict=False)
        with torch.no_grad():
            one, other = (x(batch[0], embedding=True).embedding for x in (whole, bare))
        assert torch.equal(one, other)


@pytest.mark.parametrize('family', ['vit', 'swin', 'cnn', 'mlp'])
@pytest.mark.parametrize('key', ['checkpoint', 'pretrained'])
def test_a_file_with_a_head_serves_it_and_the_rest_is_strict(family, key, tmp_path):
    whole = MODELS.build(micro_net(family))
    state, path = dict(whole.model.state_dict()), str(tmp_path / 'net.pth')
    classes = dict(dataset_meta=dict(classes=list('abcdefghij')))
    torch.save(dict(state_dict=state, meta=classes), path)
    net = MODELS.build(micro_net(family, 0, **{key: path}))
    assert net.has_weights and not net.is_random and net.classes is None
    assert all(torch.equal(x, state[k]) for k, x in net.model.state_dict().items())
    body = next(k for k in state if k in net.model.state_dict())
    torch.save({k: x for k, x in state.items() if k != body}, path)
    with pytest.raises(UserError, match=f'Missing key.*{body}'):
        MODELS.build(micro_net(family, 0, **{key: path}))
    torch.save(dict(state, stranger=torch.ones(1)), path)
    with pytest.raises(UserError, match='Unexpected key.*stranger'):
        MODELS.build(micro_net(family, 0, **{key: path}))


def test_an_mmpretrain_backbone_with_a_number_of_classes_asks_for_a_head():
    config = dict(TEACHERS['mmpretrain resnet'][0], num_classes=10)
    with pytest.raises(UserError, match='with a head, for 10 classes, got one without.*num_classes=0'):
        MODELS.build(config)


def test_features_that_are_no_vector_ask_for_a_neck():
    net = MODELS.build(dict(backbone(**MIXER), num_classes=0, checkpoint='random'))
    with pytest.raises(
        UserError, match=r'MlpMixer: expected logits and embedding.*\(1, 16, 16\); add a neck'
    ):
        _ = net.embedding_channels


def test_a_student_wants_a_head():
    with pytest.raises(UserError, match='student: expected a class head, got num_classes=0'):
        MODELS.build(dict(type='NetClassifier', student=micro_net('cnn', 0)))


def test_the_list_of_the_message_is_that_of_the_methods():
    for name in METHODS - {'ofa_imagenet'}:
        model = MODELS.build(
            dict(method(name), teacher=micro_net('vit', checkpoint='random'), student=micro_net('cnn'))
        )
        assert ('logits' in model.teacher_needs) == (name not in SERVED), name


def test_tools_that_read_its_logits_refuse_it_and_its_cost_is_left_out(batch):
    config = teacher('vit of another size')
    cfg = Config(dict(model=dict(method('rkd'), teacher=config, student=micro_net('cnn'))))
    model = MODELS.build(cfg.model)
    with pytest.raises(UserError, match='vis_cam: expected a teacher with a class head, got one without'):
        teacher_of(model, 'vis_cam')
    assert teacher_of(model, 'vis_cka', classifies=False) is model.teacher
    assert build_teacher(cfg, model) is None
    counted = complexity(cfg)
    assert counted['parameters']['teacher'] == sum(x.numel() for x in model.teacher.net.parameters())
    assert counted['forward']['teacher'] > 0
