"""Models on the Hugging Face hub, with stand-ins for the network."""

import time
from urllib.error import HTTPError, URLError

import huggingface_hub
import pytest
import timm
import torch
from timm.models._hub import save_for_hf

from hetkd.errors import UserError
from hetkd.models.nets import hub
from hetkd.registry import MODELS

SMALL = dict(patch_size=8, embed_dim=16, depth=4, num_heads=2, img_size=32)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """No network and an empty cache; a list of what was asked for."""
    calls = []

    def absent(url, timeout):
        calls.append((url, timeout))
        raise URLError('Name or service not known')

    monkeypatch.setattr(hub, 'urlopen', absent)
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
    return calls


def timm_net(model='vit_tiny_patch16_224', **options):
    return MODELS.build(dict(type='TimmNet', model=model, **{'num_classes': 10, **options}))


@pytest.mark.parametrize('model', ['vit_tiny_patch16_224', 'hf-hub:timm/vit_tiny_patch16_224.augreg_in21k'])
def test_without_a_network_it_is_asked_once_and_the_way_out_is_named(model, asked):
    begin = time.perf_counter()
    with pytest.raises(UserError) as info:
        timm_net(model, pretrained=True)
    assert time.perf_counter() - begin < 2 and asked == [('https://huggingface.co', 5)]
    assert info.value.what.startswith('timm/vit_tiny_patch16_224.augreg_in21k')
    assert all(x in str(info.value) for x in (huggingface_hub.constants.HF_HUB_CACHE, 'checkpoint=PATH'))


def test_a_net_that_needs_no_file_of_the_hub_asks_nothing(asked):
    timm_net(checkpoint='random', model_kwargs=SMALL)
    assert asked == []


def test_a_hub_that_answers_and_refuses_is_named_too(asked, monkeypatch):
    """Its first page may be an error; what it says of the file counts."""

    def answers(url, timeout):
        raise HTTPError(url, 403, 'Forbidden', None, None)

    def refuses(*args, **kwargs):
        raise OSError('401 Client Error. Access to model is restricted.\nmore')

    monkeypatch.setattr(hub, 'urlopen', answers)
    monkeypatch.setattr(timm, 'create_model', refuses)
    with pytest.raises(UserError, match=r'neither \(OSError: 401 Client.*restricted\.\); connect'):
        timm_net(pretrained=True)


@pytest.mark.parametrize('num_classes', [10, 0])
def test_a_model_of_the_hub_is_read_from_the_cache_without_a_network(
    num_classes, asked, monkeypatch, tmp_path
):
    net = timm.create_model('vit_tiny_patch16_224', num_classes=10, **SMALL)
    save_for_hf(net, tmp_path, dict(num_classes=10), dict(SMALL), safe_serialization=True)
    found = lambda repo, name, **kwargs: str(tmp_path / name)  # noqa: E731
    monkeypatch.setattr(hub, 'try_to_load_from_cache', found)
    monkeypatch.setattr('timm.models._hub.hf_hub_download', lambda repo_id, filename, **k: found(0, filename))
    teacher = timm_net('hf-hub:me/mine@v1', num_classes=num_classes, pretrained=True)
    assert asked == [] and teacher.has_weights and teacher.input_spec.size == (32, 32)
    state = net.state_dict()
    assert all(torch.equal(x, state[key]) for key, x in teacher.model.state_dict().items())
    assert len(teacher.model.state_dict()) == len(state) - (0 if num_classes else 2)
