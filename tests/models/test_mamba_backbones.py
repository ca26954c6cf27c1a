"""Vim and VMamba: official names and sizes, reference transcriptions, checkpoints of all naming schemes."""

import json
import math
import re

import pytest
import torch

from hetkd.errors import UserError
from hetkd.models.backbones import Vim, VMamba
from hetkd.registry import MODELS
from tests.conftest import ROOT
from tests.reference.mamba import vim_logits, vmamba_logits

SHAPES = json.loads((ROOT / 'tests/fixtures/mamba_shapes.json').read_text())
VIM = 'vim_{}_patch16{}_224_bimambav2_final_pool_mean_abs_pos_embed_with_midclstok_div2'
OFFICIAL = {
    VIM.format('tiny', ''): (dict(type='Vim', arch='tiny'), 7_148_008),
    VIM.format('small', ''): (dict(type='Vim', arch='small'), 25_796_584),
    VIM.format('tiny', '_stride8'): (dict(type='Vim', arch='tiny', stride=8), 7_250_344),
    VIM.format('small', '_stride8'): (dict(type='Vim', arch='small', stride=8), 26_001_256),
    'vmamba_tiny_s1l8': (dict(type='VMamba'), 30_249_064),
    'vmamba_tiny_s2l5': (dict(type='VMamba', arch='tiny-s2l5'), 30_705_832),
    'vmamba_small_s2l15': (dict(type='VMamba', arch='small'), 50_147_752),
    'vmamba_base_s2l15': (dict(type='VMamba', arch='base'), 88_557_800),
    'vmamba_small_s1l20': (dict(type='VMamba', arch='small-s1l20'), 49_012_840),
    'vmamba_base_s1l20': (dict(type='VMamba', arch='base-s1l20'), 86_614_504),
    'vanilla_vmamba_tiny': (dict(type='VMamba', arch='vanilla-tiny'), 22_893_448),
    'vanilla_vmamba_small': (dict(type='VMamba', arch='vanilla-small'), 44_417_416),
    'vanilla_vmamba_base': (dict(type='VMamba', arch='vanilla-base'), 76_254_056),
}


def test_all_official_models_are_here():
    assert set(OFFICIAL) == set(SHAPES)


@pytest.mark.parametrize('name', OFFICIAL)
def test_every_key_shape_and_count_is_the_official_one(name):
    config, count = OFFICIAL[name]
    with torch.device('meta'):
        net = MODELS.build(config)
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == SHAPES[name]
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize('classes, count', [(100, 25_450_084), (200, 25_488_584)])
def test_vim_s_of_other_classes(classes, count):
    with torch.device('meta'):
        assert sum(p.numel() for p in Vim('small', num_classes=classes).parameters()) == count


def scrambled(net):
    """Random float64 values everywhere, so that no term is 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    net = net.double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return net


MICRO_VIM = dict(num_classes=5, img_size=16, patch_size=4, embed_dim=16, depth=3, d_state=4)


@pytest.mark.parametrize('stride', [4, 2])
def test_vim_is_the_transcription(stride):
    net = scrambled(Vim(**MICRO_VIM, stride=stride))
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    logits, streams = vim_logits(net.state_dict(), images, stride)
    torch.testing.assert_close(net(images), logits)
    maps, embedding = net.features(images, (0, 2))
    torch.testing.assert_close(net.classify(embedding), logits)
    side = (16 - 4) // stride + 1
    middle = side * side // 2
    for ours, stream in zip(maps, (streams[0], streams[2])):
        patches = torch.cat([stream[:, :middle], stream[:, middle + 1 :]], 1)
        torch.testing.assert_close(ours, patches.mT.reshape(2, 16, side, side))


MICRO_VMAMBA = dict(num_classes=5, embed_dim=16, depths=(1, 2))


@pytest.mark.parametrize('arch', ['tiny', 'tiny-s2l5', 'vanilla-tiny'])
def test_vmamba_is_the_transcription(arch):
    net = scrambled(VMamba(arch, **MICRO_VMAMBA))
    images = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    expected = vmamba_logits(net.state_dict(), images, (1, 2), arch.startswith('vanilla'))
    torch.testing.assert_close(net(images), expected)


def released(state):
    """The naming scheme of the released checkpoints: projections as parameters, weights as convolutions."""
    result = {}
    for key, value in state.items():
        for part, rows in (('x_proj', 4), ('dt_projs', 4)):
            if key.endswith(f'.{part}.weight'):
                key, value = key.replace(f'{part}.weight', f'{part}_weight'), value.unflatten(0, (rows, -1))
        if key.endswith(('in_proj.weight', 'out_proj.weight', 'fc1.weight', 'fc2.weight')):
            value = value[..., None, None]
        result[key] = value
    return result


def oldest(state):
    """The naming scheme of the first files."""
    pairs = [
        (r'^patch_embed\.0\.', 'patch_embed.proj.'),
        (r'^patch_embed\.2\.', 'patch_embed.norm.'),
        (r'(blocks\.\d+)\.norm\.', r'\1.ln_1.'),
        (r'\.op\.', '.self_attention.'),
        (r'\.downsample\.1\.', '.downsample.norm.'),
        (r'\.downsample\.2\.', '.downsample.reduction.'),
        (r'^classifier\.', ''),
    ]
    result = {}
    for key, value in state.items():
        for new, old in pairs:
            key = re.sub(new, old, key)
        result[key] = value
    return result


@pytest.mark.parametrize(
    'arch, naming',
    [
        ('tiny', dict),
        ('tiny', released),
        ('tiny-s2l5', released),
        ('vanilla-tiny', dict),
        ('vanilla-tiny', oldest),
    ],
)
def test_checkpoints_of_all_namings_load(arch, naming, tmp_path):
    source, target = (VMamba(arch, **MICRO_VMAMBA) for _ in range(2))
    state = naming(source.state_dict())
    assert naming is dict or set(state) != set(source.state_dict())
    before = set(state)
    target.load_state_dict(state, strict=True)
    assert set(state) == before, "the caller's dict stays as it is"
    assert all(torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values()))

    path = str(tmp_path / 'official.pth')
    torch.save(dict(model=state, epoch=3), path)
    model = dict(type='VMamba', arch=arch, embed_dim=16, depths=(1, 2))
    net = MODELS.build(dict(type='MambaNet', model=model, num_classes=5, checkpoint=path)).eval()
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(net(images).logits, source.eval()(images))


def test_a_vim_checkpoint_loads(tmp_path):
    source = Vim(**MICRO_VIM)
    path = str(tmp_path / 'vim.pth')
    torch.save(dict(model=source.state_dict()), path)
    model = {k: v for k, v in MICRO_VIM.items() if k != 'num_classes'}
    net = MODELS.build(dict(type='MambaNet', model=dict(type='Vim', **model), num_classes=5, checkpoint=path))
    assert all(
        torch.equal(a, b) for a, b in zip(net.model.state_dict().values(), source.state_dict().values())
    )


@pytest.mark.parametrize('net', [VMamba('vanilla-tiny', **MICRO_VMAMBA), Vim(**MICRO_VIM)])
def test_training_may_start_from_weights_of_other_classes(net, tmp_path):
    path = str(tmp_path / 'in1k.pth')
    naming = oldest if isinstance(net, VMamba) else dict
    torch.save(dict(model=naming(net.state_dict())), path)
    model = (
        dict(MICRO_VMAMBA, type='VMamba', arch='vanilla-tiny')
        if isinstance(net, VMamba)
        else dict(MICRO_VIM, type='Vim')
    )
    started = MODELS.build(dict(type='MambaNet', model=model, num_classes=7, pretrained=path))
    assert started.has_weights
    state = started.model.state_dict()
    for key, value in net.state_dict().items():
        assert torch.equal(state[key], value) == ('head' not in key.split('.')), key
    started.init_weights()
    assert all(torch.equal(a, b) for a, b in zip(started.model.state_dict().values(), state.values()))
    whole = MODELS.build(dict(type='MambaNet', model=model, num_classes=5, pretrained=path))
    assert all(
        torch.equal(a, b) for a, b in zip(whole.model.state_dict().values(), net.state_dict().values())
    )
    with pytest.raises(UserError, match='expected the weights of'):
        torch.save({k: v for k, v in net.state_dict().items() if 'norm' not in k}, path)
        MODELS.build(dict(type='MambaNet', model=model, num_classes=7, pretrained=path))


@pytest.mark.parametrize(
    'file, model, message',
    [
        (
            VMamba('tiny', **MICRO_VMAMBA),
            dict(type='VMamba', arch='tiny-s2l5', **MICRO_VMAMBA),
            'Shapes differ',
        ),
        (
            VMamba('vanilla-tiny', **MICRO_VMAMBA),
            dict(type='VMamba', **MICRO_VMAMBA),
            'expected the weights of VMamba',
        ),
        (Vim(**MICRO_VIM), dict(MICRO_VIM, type='Vim', depth=2), '(?s)expected the weights of Vim.*layers.2'),
        (Vim(**MICRO_VIM), dict(MICRO_VIM, type='Vim', stride=2), 'Shapes differ: pos_embed'),
        (Vim(**MICRO_VIM), dict(MICRO_VIM, type='Vim', img_size=32), 'Shapes differ: pos_embed'),
    ],
)
def test_a_checkpoint_of_another_variant_is_refused(file, model, message, tmp_path):
    path = str(tmp_path / 'x.pth')
    torch.save(file.state_dict(), path)
    with pytest.raises(UserError, match=message):
        MODELS.build(dict(type='MambaNet', model=model, num_classes=5, checkpoint=path))


@pytest.mark.parametrize('size', [(24, 24), (16, 32), (8, 8)])
def test_vim_takes_images_of_any_size_that_patches_cover(size):
    net = Vim(**MICRO_VIM)
    maps, embedding = net.features(torch.randn(2, 3, *size), (2,))
    assert maps[0].shape == (2, 16, size[0] // 4, size[1] // 4) and embedding.shape == (2, 16)
    positions = net._positions((size[0] // 4, size[1] // 4))
    middle = positions.shape[1] // 2
    assert torch.equal(positions[:, middle], net.pos_embed[:, 8]), (
        "the class token's own place stays in the middle"
    )


def test_vims_positions_of_a_constant_field_stay_constant():
    net = Vim(**MICRO_VIM)
    torch.nn.init.constant_(net.pos_embed, 0.7)
    torch.testing.assert_close(net._positions((7, 5)), torch.full((1, 36, 16), 0.7))


@pytest.mark.parametrize('size', [(18, 16), (2, 16)])
def test_an_image_that_patches_do_not_cover_is_refused(size):
    with pytest.raises(
        ValueError, match=f'expected image sides of 4 plus a multiple of 4 pixels, got .{size[0]}, 16'
    ):
        Vim(**MICRO_VIM)(torch.zeros(1, 3, *size))
    with pytest.raises(UserError, match='expected image sides'):
        Vim(**dict(MICRO_VIM, img_size=size))


@pytest.mark.parametrize('build', [Vim, VMamba])
def test_an_unknown_arch_is_refused(build):
    with pytest.raises(UserError, match="arch: expected one of .*got 'huge'"):
        build('huge')


def test_vims_initial_values_are_the_authors():
    net = Vim(depth=4)
    mixer = net.layers[0].mixer
    steps = torch.nn.functional.softplus(mixer.dt_proj.bias)
    assert steps.min() >= 1e-3 and steps.max() <= 0.1 + 1e-6
    assert steps.log().mean().item() == pytest.approx(math.log(1e-2), abs=0.3)
    assert not mixer.dt_proj_b.bias.any(), 'the authors leave the backward one at zero'
    for layer in (mixer.dt_proj, mixer.dt_proj_b):
        bound = layer.in_features**-0.5
        assert layer.weight.abs().max() <= bound and layer.weight.std().item() == pytest.approx(
            bound / 3**0.5, rel=0.1
        )
    assert torch.equal(mixer.A_log[3].exp().round(), torch.arange(1.0, 17))
    assert torch.equal(mixer.D, torch.ones(384))
    bound = 384**-0.5 / 2  # kaiming uniform with a = sqrt 5, over the root of the depth
    assert mixer.out_proj.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    for tensor in (net.head.weight, net.pos_embed):
        assert tensor.std().item() == pytest.approx(0.02, rel=0.05)
    assert net.patch_embed['proj'].weight.std().item() == pytest.approx(768**-0.5, rel=0.05)


def test_vmambas_projections_keep_the_start_that_the_checkpoints_had():
    net = VMamba(depths=(1, 1))
    op = net.layers[0]['blocks'][0].op
    x_proj, dt_projs = op.projections()
    assert x_proj.shape == (4, 8, 96) and x_proj.abs().max() <= 96**-0.5 and x_proj.std() > 0.5 * 96**-0.5
    assert dt_projs.abs().max() <= 6**-0.5 and dt_projs.std() > 0.5 * 6**-0.5
    assert op.in_proj.weight.std().item() == pytest.approx(0.02, rel=0.1)
    steps = torch.nn.functional.softplus(op.dt_projs_bias)
    assert steps.min() >= 1e-3 and steps.max() <= 0.1 + 1e-6


def test_stochastic_depth_is_shifted_in_vim_and_even_in_vmamba():
    vim = Vim(**dict(MICRO_VIM, depth=4, drop_path_rate=0.3))
    rates = [block.drop_path.drop_prob for block in vim.layers]
    assert rates == pytest.approx([0.0, 0.0, 0.1, 0.2]) and vim.drop_path.drop_prob == 0.3
    vmamba = VMamba(**dict(MICRO_VMAMBA, drop_path_rate=0.2))
    rates = [block.drop_path.drop_prob for layer in vmamba.layers for block in layer['blocks']]
    assert rates == pytest.approx([0.0, 0.1, 0.2])


@pytest.mark.parametrize('kind, options', [('Vim', MICRO_VIM), ('VMamba', MICRO_VMAMBA)])
def test_a_rate_of_stochastic_depth_is_no_percentage(kind, options):
    with pytest.raises(UserError, match='drop_path_rate: expected a number <= 1, got 10'):
        MODELS.build(dict(options, type=kind, drop_path_rate=10.0))


@pytest.mark.parametrize('build', [lambda: Vim(**MICRO_VIM), lambda: VMamba(**MICRO_VMAMBA)])
def test_every_parameter_gets_a_gradient_also_under_autocast(build):
    net = build().train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        logits = net(torch.randn(2, 3, 16, 16))
    logits.float().square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_another_type_is_no_mamba():
    model = dict(type='GlobalAveragePooling')
    with pytest.raises((ValueError, TypeError), match="type 'Vim' or 'VMamba'|num_classes"):
        MODELS.build(dict(type='MambaNet', model=model, num_classes=10))
