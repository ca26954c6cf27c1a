"""Weight files are read strictly and without running their code."""

import pickle
from pathlib import Path

import pytest
import torch

from hetkd.models.nets.checkpoint import read_weights
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
    with pytest.raises(
        FileNotFoundError, match=r'not found: expected a file at .*nowhere\.pth.*tools/train\.py'
    ):
        MODELS.build(micro_net('cnn', checkpoint=str(tmp_path / 'nowhere.pth')))


def test_another_class_count_is_named(saved):
    _, path = saved
    with pytest.raises(ValueError, match='expected a net of 100 classes, got one of 10'):
        MODELS.build(micro_net('cnn', num_classes=100, checkpoint=path))


def test_missing_and_unexpected_keys_are_listed(saved, tmp_path):
    net, _ = saved
    state = dict(net.model.state_dict())
    state['backbone.stranger'] = state.pop('backbone.conv1.weight')
    path = str(tmp_path / 'other.pth')
    torch.save(state, path)
    with pytest.raises(ValueError, match='(?s)Missing key.*conv1.weight.*Unexpected key.*stranger'):
        MODELS.build(micro_net('cnn', checkpoint=path))


class Evil:
    """Pickles to a call."""

    def __reduce__(self):
        return (print, ('code of the file has run',))


def test_a_file_with_code_is_refused_and_not_run(tmp_path, capsys):
    path = str(tmp_path / 'evil.pth')
    torch.save(dict(state_dict=Evil()), path)
    with pytest.raises(ValueError, match='which is refused'):
        read_weights(path)
    assert 'has run' not in capsys.readouterr().out


@pytest.mark.parametrize('content', [b'', b'no weights', pickle.dumps([1, 2])[:5]])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / 'broken.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='broken.pth'):
        read_weights(str(path))


def test_a_truncated_file_is_named(saved, tmp_path):
    _, path = saved
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(Path(path).read_bytes()[:-500])
    with pytest.raises(ValueError, match='cannot be read'):
        read_weights(str(cut))


def test_something_else_is_no_state_dict(tmp_path):
    path = str(tmp_path / 'list.pth')
    torch.save([torch.ones(1)], path)
    with pytest.raises(ValueError, match='expected a state dict'):
        read_weights(path)


def test_a_url_is_read_without_running_its_code(tmp_path, monkeypatch):
    """torch.hub runs pickled code unless told otherwise; a file:// address stands for a web server."""
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict=Evil()), path)
    load = torch.hub.load_state_dict_from_url
    monkeypatch.setattr(
        torch.hub,
        'load_state_dict_from_url',
        lambda url, **k: load(path.as_uri(), model_dir=str(tmp_path / 'hub'), **k),
    )
    with pytest.raises(ValueError, match='which is refused'):
        read_weights('https://example.org/evil.pth')
