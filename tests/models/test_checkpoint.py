"""Weight files are read strictly and without running their code."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from hetkd.errors import UserError
from hetkd.models.nets.checkpoint import load_but_head, read_weights
from hetkd.registry import MODELS
from hetkd.testing import micro_net


@pytest.fixture
def saved(tmp_path):
    """A net and its weight file."""
    net = MODELS.build(micro_net('cnn'))
    path = tmp_path / 'net.pth'
    torch.save(net.model.state_dict(), path)
    return net, str(path)


def test_a_file_gives_the_same_logits(saved):
    net, path = saved
    other = MODELS.build(micro_net('cnn', checkpoint=path)).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(net.eval()(images).logits, other(images).logits)


@pytest.mark.parametrize(
    'wrap',
    [
        lambda s: {'state_dict': s, 'meta': {'dataset_meta': {'classes': ['a', 'b']}}},
        lambda s: {'model': s},
        lambda s: {
            'state_dict': {f'student.model.{k}': v for k, v in s.items()} | {'projector.x': torch.ones(1)}
        },
    ],
)
def test_common_wrappings_are_unpacked(saved, tmp_path, wrap):
    net, _ = saved
    path = str(tmp_path / 'wrapped.pth')
    torch.save(wrap(net.model.state_dict()), path)
    weights = read_weights(path)
    assert list(weights.state_dict) == list(net.model.state_dict())


def test_classes_of_the_file_are_kept(saved, tmp_path):
    net, _ = saved
    path = str(tmp_path / 'meta.pth')
    torch.save(
        dict(state_dict=net.model.state_dict(), meta=dict(dataset_meta=dict(classes=['x'] * 10))), path
    )
    assert MODELS.build(micro_net('cnn', checkpoint=path)).classes == ['x'] * 10


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(UserError, match=r'weight file: expected a file at .*nowhere\.pth.*tools/train\.py'):
        MODELS.build(micro_net('cnn', checkpoint=str(tmp_path / 'nowhere.pth')))


def test_another_class_count_is_named(saved):
    _, path = saved
    with pytest.raises(UserError, match='expected a net of 100 classes, got one of 10'):
        MODELS.build(micro_net('cnn', num_classes=100, checkpoint=path))


def test_missing_and_unexpected_keys_are_listed(saved, tmp_path):
    net, _ = saved
    state = dict(net.model.state_dict())
    state['backbone.stranger'] = state.pop('backbone.conv1.weight')
    path = str(tmp_path / 'other.pth')
    torch.save(state, path)
    with pytest.raises(UserError, match='(?s)Missing key.*conv1.weight.*Unexpected key.*stranger'):
        MODELS.build(micro_net('cnn', checkpoint=path))


def test_a_net_that_resizes_what_it_loads_still_refuses_another_shape(tmp_path):
    """mmpretrain's ViT resizes the position embedding of another image size on its own."""
    vit = dict(
        type='ImageClassifier',
        backbone=dict(type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16),
        head=dict(type='VisionTransformerClsHead', in_channels=192, num_classes=10),
    )
    net = dict(type='MMPretrainNet', model=vit, num_classes=10)
    path = str(tmp_path / 'vit.pth')
    torch.save(MODELS.build(net).model.state_dict(), path)
    MODELS.build(dict(net, checkpoint=path))
    with pytest.raises(UserError, match='Shapes differ: backbone.pos_embed'):
        MODELS.build(dict(net, input_size=64, checkpoint=path))


class Evil:
    """Pickles to a call."""

    def __reduce__(self):
        return (print, ('code of the file has run',))


def test_a_file_with_code_is_refused_and_not_run(tmp_path, capsys):
    path = str(tmp_path / 'evil.pth')
    torch.save(dict(state_dict=Evil()), path)
    with pytest.raises(UserError, match='which is refused'):
        read_weights(path)
    assert 'has run' not in capsys.readouterr().out


@pytest.mark.parametrize('content', [b'', b'no weights', pickle.dumps([1, 2])[:5]])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / 'broken.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match='broken.pth'):
        read_weights(str(path))


def test_a_truncated_file_is_named(saved, tmp_path):
    _, path = saved
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(Path(path).read_bytes()[:-500])
    with pytest.raises(UserError, match='cannot be read'):
        read_weights(str(cut))


def test_something_else_is_no_state_dict(tmp_path):
    path = str(tmp_path / 'list.pth')
    torch.save([torch.ones(1)], path)
    with pytest.raises(UserError, match='expected a state dict'):
        read_weights(path)


def test_a_url_is_read_without_running_its_code(tmp_path, monkeypatch):
    """torch.hub's own loader runs pickled code unless told otherwise."""
    serve(tmp_path, monkeypatch, {'https://example.org/evil.pth': dict(state_dict=Evil())})
    with pytest.raises(UserError, match='which is refused'):
        read_weights('https://example.org/evil.pth')


def serve(tmp_path, monkeypatch, files):
    """Play a web server."""
    hub = tmp_path / 'hub'
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(hub))
    fetched = []

    def download(url, path):
        fetched.append(url)
        torch.save(files[url], path)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    return fetched


def test_files_of_one_name_from_two_addresses_are_two_files(tmp_path, monkeypatch):
    urls = [f'https://example.org/{run}/epoch_1.pth?run={query}' for run, query in ('a1', 'b1', 'a2')]
    fetched = serve(tmp_path, monkeypatch, {url: {'w': torch.tensor(float(i))} for i, url in enumerate(urls)})
    for _ in range(2):  # the second time from the cache
        assert [read_weights(url).state_dict['w'].item() for url in urls] == [0.0, 1.0, 2.0]
    assert fetched == urls


def test_an_address_that_has_no_file_is_named(tmp_path, monkeypatch):
    def absent(url, path):
        raise OSError('HTTP Error 404')

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', absent)
    with pytest.raises(UserError, match='to download https://example.org/x.pth, got HTTP Error 404; check'):
        read_weights('https://example.org/x.pth')


def test_safetensors_are_read_also_from_an_address_and_a_broken_one_is_named(saved, tmp_path, monkeypatch):
    from safetensors.torch import save, save_file

    net, _ = saved
    state = {k: v.clone() for k, v in net.model.state_dict().items()}
    save_file(state, tmp_path / 'net.safetensors')
    assert read_weights(str(tmp_path / 'net.safetensors')).state_dict.keys() == state.keys()
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(
        torch.hub, 'download_url_to_file', lambda url, path: Path(path).write_bytes(save(state))
    )
    assert read_weights('https://example.org/net.safetensors').state_dict.keys() == state.keys()
    (tmp_path / 'broken.safetensors').write_bytes(b'nothing')
    with pytest.raises(UserError, match=r'broken.safetensors: expected a weight file'):
        read_weights(str(tmp_path / 'broken.safetensors'))


def test_a_head_with_a_batch_norm_is_begun_from(saved):
    """Its count of batches has no dimensions."""
    net = nn.ModuleDict(dict(head=nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)), body=nn.Linear(2, 4)))
    other = nn.ModuleDict(dict(head=nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 5)), body=nn.Linear(2, 4)))
    kept = net['head'][1].weight.clone()
    load_but_head(net, other.state_dict(), 'x', 3)
    assert torch.equal(net['body'].weight, other['body'].weight) and torch.equal(net['head'][1].weight, kept)
