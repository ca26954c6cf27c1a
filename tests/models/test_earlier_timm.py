"""Teachers saved by timm 0.6.5, as those of the papers are, load into today's timm unchanged.

The earlier names were read from timm 0.6.5's own nets, installed aside: ViT, DeiT, ConvNeXt and Mixer are
named as today; Swin keeps a downsampling in the stage before it, its head is ``head``, and masks and tables
of indices are saved. ConvNeXt's authors name it in their own way.
"""

import pytest
import torch
from safetensors.torch import save_file

from hetkd.errors import UserError
from hetkd.registry import MODELS
from tests.models.test_nets import timm_net

CONVNEXT = dict(depths=(1, 1, 1, 1), dims=(4, 8, 8, 8))
SWIN = dict(patch_size=2, embed_dim=8, depths=(1, 2, 1, 1), num_heads=(1, 2, 2, 2), window_size=4)
VIT = dict(patch_size=8, embed_dim=16, depth=2, num_heads=2)


def swin(state):
    old = {}
    for key, value in state.items():
        parts = key.replace('head.fc.', 'head.').split('.')
        if 'downsample' in parts:
            parts[1] = str(int(parts[1]) - 1)
        old['.'.join(parts)] = value
    for block in {key.rpartition('.attn.')[0] for key in state if '.attn.' in key}:
        old[f'{block}.attn.relative_position_index'] = torch.arange(256).view(16, 16)
    old['layers.1.blocks.1.attn_mask'] = torch.zeros(4, 16, 16)
    return old


def convnext_of_its_authors(state):
    names = [
        ('stem.0', 'downsample_layers.0.0'),
        ('stem.1', 'downsample_layers.0.1'),
        *((f'stages.{i}.downsample', f'downsample_layers.{i}') for i in (1, 2, 3)),
        ('.blocks', ''),
        ('conv_dw', 'dwconv'),
        ('mlp.fc1', 'pwconv1'),
        ('mlp.fc2', 'pwconv2'),
        ('head.norm', 'norm'),
        ('head.fc', 'head'),
    ]
    old = {}
    for key, value in state.items():
        for now, before in names:
            key = key.replace(now, before)
        old[key] = value
    return old


NETS = {
    'swin': (timm_net('swin_tiny_patch4_window7_224', input_size=32, model_kwargs=SWIN), swin),
    'vit': (timm_net('vit_small_patch16_224', input_size=32, model_kwargs=VIT), dict),
    'deit': (timm_net('deit_tiny_patch16_224', input_size=32, model_kwargs=VIT), dict),
    'distilled deit': (timm_net('deit_tiny_distilled_patch16_224', input_size=32, model_kwargs=VIT), dict),
    'convnext': (timm_net('convnext_tiny', model_kwargs=CONVNEXT), dict),
    'convnext of its authors': (timm_net('convnext_tiny', model_kwargs=CONVNEXT), convnext_of_its_authors),
    'mixer': (timm_net('mixer_s16_224', input_size=32), dict),
}
FORMS = {
    'plain': dict,
    'state_dict': lambda s: dict(state_dict=s, epoch=300, arch='x'),
    'model': lambda s: dict(model=s, epoch=300),
    'state_dict_ema': lambda s: dict(
        state_dict={k: torch.zeros_like(v) for k, v in s.items()}, state_dict_ema=s
    ),
    'module.': lambda s: {f'module.{key}': value for key, value in s.items()},
    'safetensors': None,
}


def saved(state, form, folder):
    if form == 'safetensors':
        path = str(folder / 'old.safetensors')
        save_file({key: value.clone() for key, value in state.items()}, path)
    else:
        path = str(folder / 'old.pth.tar')
        torch.save(FORMS[form](state), path)
    return path


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('name', NETS)
def test_its_weights_are_those_of_the_file(name, form, tmp_path):
    config, earlier = NETS[name]
    config = dict(config, num_classes=10)
    state = MODELS.build(config).model.state_dict()
    path = saved(earlier(dict(state)), form, tmp_path)
    loaded = MODELS.build(dict(config, checkpoint=path)).model.state_dict()
    assert loaded.keys() == state.keys() and all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.parametrize('name', ['swin', 'convnext of its authors'])
def test_it_is_a_start_with_another_head_or_without_one(name, tmp_path):
    config, earlier = NETS[name]
    state = MODELS.build(dict(config, num_classes=10)).model.state_dict()
    path = saved(earlier(dict(state)), 'state_dict', tmp_path)
    for change in (dict(num_classes=7, pretrained=path), dict(num_classes=0, checkpoint=path)):
        loaded = MODELS.build(dict(config, **change)).model.state_dict()
        body = {key: value for key, value in loaded.items() if not key.startswith('head.fc.')}
        assert len(body) == len(state) - 2 and all(torch.equal(x, state[key]) for key, x in body.items())


def test_one_of_another_number_of_classes_says_so(tmp_path):
    config, earlier = NETS['swin']
    state = MODELS.build(dict(config, num_classes=10)).model.state_dict()
    path = saved(earlier(dict(state)), 'plain', tmp_path)
    with pytest.raises(UserError, match='expected a net of 7 classes, got one of 10'):
        MODELS.build(dict(config, num_classes=7, checkpoint=path))
