"""Shared flags of the command-line tools, and their effect on a config."""

import argparse
import os
import os.path as osp

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from PIL import Image

from hetkd.registry import RUNNERS

from .analysis import save_numbers
from .config import load_config, run_name

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


def add_config(parser: argparse.ArgumentParser, text: str = 'config file of the run') -> None:
    """A config, the method to put on it, and overrides; read by :func:`config_of`."""
    parser.add_argument('config', help=text)
    parser.add_argument(
        '--method', metavar='NAME|FILE',
        help="method in place of the config's own: a name in configs/_base_/methods, or a file *.py of that "
        'form; "scratch" trains the student alone on its labels',
    )  # fmt: skip
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help=OPTIONS_HELP)


def config_of(args: argparse.Namespace) -> Config:
    """The config that :func:`add_config`'s arguments name."""
    return load_config(args.config, args.cfg_options, args.method)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that training and testing share."""
    parser.add_argument('--work-dir', help='folder of logs, checkpoints and metrics')
    parser.add_argument('--no-pin-memory', action='store_true', help='no pinned memory in dataloaders')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher'
    )
    # torch < 2 passed --local_rank, torch >= 2 passes --local-rank, torchrun sets LOCAL_RANK.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_run(parser: argparse.ArgumentParser) -> None:
    """The arguments of a tool that looks at a trained run."""
    add_config(parser)
    parser.add_argument('checkpoint', help="checkpoint of the run, or its exported student's file")
    add_images(parser)


def add_images(parser: argparse.ArgumentParser) -> None:
    """The number of test images, and the device."""
    parser.add_argument('--max-images', type=int, help='test images, evenly spread; default: all')
    parser.add_argument('--device', help='default: the best there is')


def add_picture(parser: argparse.ArgumentParser, *names: str, required: bool = True) -> None:
    """The output file of a picture."""
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
        cfg.work_dir = osp.join('work_dirs', run_name(args.config, args.method))
    complete_loaders(cfg, loader_defaults, pin_memory=not args.no_pin_memory)


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
