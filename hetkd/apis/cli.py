"""What the command-line tools share: mmpretrain's flags and their effect on a config."""

import argparse
import os
import os.path as osp
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from PIL import Image

from hetkd.registry import RUNNERS

from .analysis import save_numbers
from .config import find_config

OPTIONS_HELP = (
    'override settings of the config, as key=value; a list as key="[a,b]" or key=a,b; nested as '
    'key="[(a,b),(c,d)]", with the quotation marks and without white space'
)

# Data loaders of a training run, with their defaults.
LOADERS = {
    'train_dataloader': dict(persistent_workers=True),
    'val_dataloader': dict(persistent_workers=True),
    'test_dataloader': dict(persistent_workers=True),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that training and testing share."""
    parser.add_argument('--work-dir', help='folder of logs, checkpoints and metrics')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help=OPTIONS_HELP)
    parser.add_argument('--no-pin-memory', action='store_true', help='no pinned memory in dataloaders')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher'
    )
    # torch < 2 passed --local_rank, torch >= 2 passes --local-rank, torchrun sets LOCAL_RANK.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_run(parser: argparse.ArgumentParser) -> None:
    """The arguments of a tool that looks at a trained run."""
    parser.add_argument('config', help='config file of the run')
    parser.add_argument('checkpoint', help="checkpoint of the run, or its exported student's file")
    add_images(parser)


def add_images(parser: argparse.ArgumentParser) -> None:
    """Which test images, on which device, with which settings."""
    parser.add_argument('--max-images', type=int, help='test images, evenly spread; default: all')
    parser.add_argument('--device', help='default: the best there is')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help=OPTIONS_HELP)


def add_picture(parser: argparse.ArgumentParser, *names: str, required: bool = True) -> None:
    """Where the picture goes."""
    parser.add_argument(
        *(names or ('--out',)), type=png, required=required, metavar='FILE.png',
        help='the picture; its numbers go to FILE.json',
    )  # fmt: skip
    parser.add_argument('--show', action='store_true', help='open the picture as well')


def png(path: str) -> str:
    """A path that ends in .png."""
    if not path.endswith('.png'):
        raise argparse.ArgumentTypeError(f'expected a file *.png, got {path!r}')
    return path


def finish(picture: str, numbers: dict, show: bool = False) -> None:
    """Write the numbers beside a picture that has been drawn, say so, and open it if asked."""
    print(f'written: {picture}, {save_numbers(picture, numbers)}')
    if show:
        Image.open(picture).show()


def merge_common(cfg: Config, args: argparse.Namespace, loader_defaults: dict[str, dict]) -> None:
    """Work dir, launcher and data loaders."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', _name_of(args.config))
    complete_loaders(cfg, loader_defaults, pin_memory=not args.no_pin_memory)


def _name_of(config: str) -> str:
    """``METHOD/NAME`` of a config under ``configs``, since methods share names; else the file's name."""
    path = Path(find_config(config)).resolve().with_suffix('')
    return f'{path.parent.name}/{path.name}' if path.parent.parent.name == 'configs' else path.name


def complete_loaders(cfg: Config, loader_defaults: dict[str, dict], pin_memory: bool = True) -> None:
    """Put mmpretrain's defaults into those data loaders of a config that are there."""
    for name, defaults in loader_defaults.items():
        loader = cfg.get(name)
        if loader is None:
            continue
        for key, value in {**defaults, 'collate_fn': dict(type='default_collate')}.items():
            loader.setdefault(key, value)
        # Nothing to pin for without a GPU; persistent workers need workers.
        loader.pin_memory = pin_memory and loader.get('pin_memory', True) and torch.cuda.is_available()
        if loader.get('num_workers', 0) == 0:
            loader.persistent_workers = False


def build_runner(cfg: Config) -> Runner:
    """The runner that the config names (``runner_type``), or mmengine's."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
