"""Class maps and the mean over the last map: what each family gives, and which nets give none."""

import pytest
import torch

from hetkd.errors import UserError
from hetkd.models.distillers import Teacher
from hetkd.models.nets import Net, NetOutput
from hetkd.registry import MODELS
from hetkd.testing import MICRO_FAMILIES, micro_net

POOLED = ('cnn', 'swin', 'mlp', 'vmamba')  # logits are the head on the mean over the last map
CONVNEXT = dict(
    timm=dict(
        type='TimmNet', model='convnext_atto', model_kwargs=dict(depths=(1, 1, 1, 1), dims=(4, 8, 16, 32))
    ),
    mmpretrain=dict(
        type='MMPretrainNet',
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='ConvNeXt', arch=dict(depths=[1, 1, 1, 1], channels=[4, 8, 16, 32])),
            head=dict(type='LinearClsHead', in_channels=32, num_classes=10),
        ),
    ),
)


def run(config, size=32):
    net = MODELS.build(config).eval()
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        return net, images, net(images, stages=True, embedding=True, mean=True, class_map=True)


def weight_of(net):
    return net._last_layer.weight


@pytest.mark.parametrize('family', MICRO_FAMILIES)
def test_asking_for_them_changes_nothing_else(family):
    net, images, output = run(micro_net(family))
    with torch.no_grad():
        plain = net(images, stages=True, embedding=True)
    assert torch.equal(output.logits, plain.logits) and torch.equal(output.embedding, plain.embedding)
    assert all(map(torch.equal, output.stages, plain.stages))
    assert plain.mean is None and plain.class_map is None
    assert output.class_map.shape[:2] == (2, 10) and output.mean.shape == (2, net.mean_channels)


@pytest.mark.parametrize('family', POOLED)
def test_where_the_head_pools_the_mean_of_a_class_map_is_its_logit_without_the_bias(family):
    net, _, output = run(micro_net(family), 64 if family in ('cnn', 'vmamba') else 32)
    expected = output.logits - net._last_layer.bias
    torch.testing.assert_close(output.class_map.mean((2, 3)), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(output.mean, output.embedding)
    assert output.class_map.shape[2:] == output.stages[-1].shape[2:]


def test_the_class_token_is_no_part_of_a_class_map():
    for family, norm, place in (('vit', 'norm', 0), ('vim', 'norm_f', 8)):
        net = MODELS.build(micro_net(family)).eval()
        net.check_class_map()  # its probes are not to be seen below
        seen = []
        getattr(net.model, norm).register_forward_hook(lambda *args, seen=seen: seen.append(args[2]))
        with torch.no_grad():
            output = net(torch.randn(2, 3, 32, 32), mean=True, class_map=True)
            tokens = torch.cat([seen[-1][:, :place], seen[-1][:, place + 1 :]], 1)
            expected = (tokens @ weight_of(net).T).mT.unflatten(2, (4, 4))
        torch.testing.assert_close(output.class_map, expected)
        torch.testing.assert_close(output.mean, tokens.mean(1))


@pytest.mark.parametrize('library', CONVNEXT)
def test_a_norm_behind_pooling_is_applied_at_each_position(library):
    net, images, _ = run(dict(CONVNEXT[library], num_classes=10), 64)
    norm = net.model.head.norm if library == 'timm' else net.model.backbone.norm3
    torch.nn.init.normal_(norm.weight)
    with torch.no_grad():
        output = net(images, stages=True, class_map=True)
        expected = torch.einsum('cd,ndhw->nchw', weight_of(net), norm(output.stages[-1]))
    torch.testing.assert_close(output.class_map, expected)


@pytest.mark.parametrize('out_type', ['cls_token', 'avg_featmap'])
def test_tokens_of_an_mmpretrain_transformer(out_type):
    backbone = dict(
        type='VisionTransformer',
        arch=dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32),
        img_size=32,
        patch_size=8,
        out_type=out_type,
        final_norm=out_type == 'cls_token',
    )
    kind = 'VisionTransformerClsHead' if out_type == 'cls_token' else 'LinearClsHead'
    head = dict(type=kind, in_channels=16, num_classes=10)
    model = dict(type='ImageClassifier', backbone=backbone, head=head)
    net, _, output = run(dict(type='MMPretrainNet', model=model, num_classes=10))
    net.check_class_map()
    tokens = (
        output.stages[-1]
        if out_type == 'cls_token'
        else net.model.backbone.ln2(output.stages[-1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    )
    expected = torch.einsum('cd,ndhw->nchw', weight_of(net), tokens)
    torch.testing.assert_close(output.class_map, expected)


@pytest.mark.parametrize('family', MICRO_FAMILIES)
def test_each_family_has_them(family):
    MODELS.build(micro_net(family)).check_class_map()


@pytest.mark.parametrize(
    'name, message',
    [
        ('mobilenetv3_small_050', 'got Conv2d, Hardswish in between'),
        ('deit_tiny_distilled_patch16_224', 'got another last layer'),
    ],
)
def test_a_head_that_is_not_linear_after_pooling_is_refused_when_built(name, message):
    net = dict(type='TimmNet', model=name, num_classes=10)
    method = dict(type='FeatureDistiller', losses=[dict(type='CATLoss')])
    for config in (
        dict(teacher=dict(net, checkpoint='random'), student=micro_net('cnn')),
        dict(teacher=micro_net('cnn', checkpoint='random'), student=net),
    ):
        with pytest.raises(UserError, match=f'expected a head that pools.*for class maps, {message}'):
            MODELS.build(dict(method, **config))


class Bare(Net):
    """A net of a user's own that knows of no last map."""

    def __init__(self):
        super().__init__(torch.nn.Conv2d(3, 10, 8, 8), 10)

    def forward(self, inputs, stages=False, embedding=False, logits=True):
        return NetOutput(self.model(inputs).mean((2, 3)))


def test_a_net_or_teacher_without_a_last_map_says_so():
    with pytest.raises(UserError, match='Bare: expected a net that gives its last map, got one without'):
        Bare().check_class_map()
    teacher = type('Cached', (Teacher,), {})
    teacher.__abstractmethods__ = frozenset()
    with pytest.raises(UserError, match='Cached: expected a method on logits or embeddings'):
        teacher().check_class_map()


def test_cat_of_a_vmamba_at_64_px():
    """At 32 px its last map has one cell, which CAT refuses."""
    method = dict(type='FeatureDistiller', losses=[dict(type='CATLoss')])
    for teacher, student in (('vmamba', 'cnn'), ('cnn', 'vmamba')):
        nets = dict(teacher=micro_net(teacher, checkpoint='random'), student=micro_net(student))
        for net in nets.values():
            net['input_size'] = 64
        model = MODELS.build(dict(method, **nets)).train()
        target = torch.tensor([1, 2])
        student_output = model.student(torch.randn(2, 3, 64, 64), class_map=True)
        teacher_output = model.teacher(torch.randn(2, 3, 64, 64), class_map=True)
        loss = model.distill(student_output, teacher_output, target)['loss_cat']
        loss.backward()
        assert loss > 0 and next(model.student.parameters()).grad.any()
