"""Every timm family and every classifier of mmpretrain's zoo against the plain net: ``pytest -m sweep``."""

from functools import cache

import pytest
import timm
import torch
from mmpretrain.apis import list_models
from mmpretrain.apis.model import ModelHub

from hetkd.errors import UserError
from hetkd.models.nets.base import first_convolution
from hetkd.registry import MODELS

pytestmark = [pytest.mark.sweep, pytest.mark.timeout(3600)]

# Their features are a list, or a map.
WITHOUT_EMBEDDING = ('CSRAClsHead', 'ConformerHead', 'DeiTClsHead')
SIZES = (64, 96, 112, 128, 224, 240, 256)
SMALL = (
    'test_',
    'pico',
    'atto',
    'femto',
    'micro',
    'nano',
    'xxs',
    'xxtiny',
    'tiny',
    '_t',
    'xs',
    'small',
    '_s',
    '18',
)


LARGE = ('g', 'giant', 'h', 'huge', 'l', 'large', 'xlarge', 'xl')


def smallest(names):
    """The model of a family whose name says that it is small."""
    rank = {name: next((i for i, x in enumerate(SMALL) if x in name), len(SMALL)) for name in names}
    return min(names, key=lambda name: (rank[name], len(name), name))


FAMILIES = {
    x: smallest(timm.list_models(module=x)) for x in timm.list_modules() if timm.list_models(module=x)
}


def compare(net, images):
    """The adapter's logits are the plain net's, whatever else is asked for."""
    with torch.no_grad():
        plain = net.model(images)
        plain = plain[0] if isinstance(plain, (tuple, list)) else plain
        assert torch.equal(net(images).logits, plain)
        output = net(images, embedding=True)
        assert torch.equal(output.logits, plain) and output.embedding.dim() == 2
        try:
            specs = net.stage_specs
        except ValueError as error:
            assert 'logits or embeddings' in str(error)
            return
        output = net(images, stages=True)
        assert torch.equal(output.logits, plain)
        assert [(x.channels, x.size) for x in specs] == [(x.shape[1], x.shape[2:]) for x in output.stages]


@pytest.mark.parametrize('family', FAMILIES)
def test_a_timm_family_takes_a_small_size(family):
    problems = []
    for size in SIZES:
        config = dict(type='TimmNet', model=FAMILIES[family], num_classes=10, input_size=size)
        try:
            net = MODELS.build(config).eval()
            net.model(torch.zeros(1, 3, size, size))
        except (AssertionError, RuntimeError, ValueError) as error:
            problems.append(f'{size}: {error}')
            continue
        compare(net, torch.randn(1, 3, size, size))
        return
    pytest.fail('\n'.join(problems))


@pytest.mark.parametrize('family', FAMILIES)
def test_a_timm_family_runs_at_the_size_it_declares(family):
    net = MODELS.build(dict(type='TimmNet', model=FAMILIES[family], num_classes=10)).eval()
    compare(net, torch.randn(1, 3, *net.probe_size))


@cache
def zoo():
    """A name for each different classifier of the zoo."""
    found = {}
    for name in list_models():
        try:
            config = ModelHub.get(name).config
        except (RuntimeError, KeyError):  # configs that mmengine cannot read
            continue
        model = config.get('model') or {}
        if model.get('type') == 'ImageClassifier' and model.get('head'):
            found.setdefault(str((model.backbone, model.get('neck'), model.head.type)), name)
    return sorted(found.values())


def pytest_generate_tests(metafunc):
    """The zoo takes a while to read: only where it is asked for."""
    if 'model' in metafunc.fixturenames:
        wanted = 'sweep' in (metafunc.config.getoption('-m') or '')
        names = zoo() if wanted else []
        metafunc.parametrize('model', [pytest.param(x, marks=_marks(x)) for x in names])


def _marks(name):
    return [pytest.mark.large] * any(f'-{x}-' in name.replace('_', '-') for x in LARGE)


def test_a_zoo_model_gives_the_plain_logits(model):
    head = ModelHub.get(model).config.model.head.type
    config = dict(type='MMPretrainNet', model=model, num_classes=10)
    if head == 'ClsHead':
        with pytest.raises(UserError, match='head: expected one that takes num_classes'):
            MODELS.build(config)
        return
    net = MODELS.build(config).eval()
    if head in WITHOUT_EMBEDDING:
        with pytest.raises(UserError, match='heads without one vector an image are not supported'):
            net(torch.zeros(1, 3, *net.probe_size), embedding=True)
        return
    first = first_convolution(net.model)
    assert net.input_spec.channels == 3 and (first is None or first.in_channels == 3)
    compare(net, torch.randn(1, 3, *net.probe_size))
