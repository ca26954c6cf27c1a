"""What the command-line tools share: mmpretrain's flags and their effect on a config."""

import argparse
import os
import os.path as osp

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from hetkd.registry import RUNNERS

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


def merge_common(cfg: Config, args: argparse.Namespace, loader_defaults: dict[str, dict]) -> None:
    """Work dir, launcher and data loaders."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(args.config))[0])
    for name, defaults in loader_defaults.items():
        loader = cfg.get(name)
        if loader is None:
            continue
        for key, value in {**defaults, 'collate_fn': dict(type='default_collate')}.items():
            loader.setdefault(key, value)
        # Nothing to pin for without a GPU; persistent workers need workers.
        loader.pin_memory = loader.get('pin_memory', True) and torch.cuda.is_available()
        if args.no_pin_memory:
            loader.pin_memory = False
        if loader.get('num_workers', 0) == 0:
            loader.persistent_workers = False


def build_runner(cfg: Config) -> Runner:
    """The runner that the config names (``runner_type``), or mmengine's.

    A ``strategy`` takes the runner that has strategies in place of the default one.
    """
    if cfg.get('strategy') and cfg.get('runner_type') == 'DistillRunner':
        cfg.runner_type = 'StrategyRunner'
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
