"""From a config and the tools' flags to a runner."""

import argparse
import os
import os.path as osp

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from hetkd.errors import UserError
from hetkd.registry import RUNNERS

from .config import run_name

# Data loaders of a training run, with their defaults.
LOADERS = {
    'train_dataloader': dict(persistent_workers=True),
    'val_dataloader': dict(persistent_workers=True),
    'test_dataloader': dict(persistent_workers=True),
}


# What a launcher tells each process, and how it is run.
LAUNCHERS = {
    'pytorch': ('RANK', 'tools/dist_train.sh CONFIG GPUS, tools/dist_test.sh or torchrun'),
    'slurm': ('SLURM_PROCID', 'tools/slurm_train.sh, tools/slurm_test.sh or srun'),
    'mpi': ('OMPI_COMM_WORLD_LOCAL_RANK', 'mpirun'),
}


def merge_common(cfg: Config, args: argparse.Namespace, loader_defaults: dict[str, dict]) -> None:
    """Work dir, launcher and data loaders.

    Raises:
        UserError: no such launcher has begun this process.
    """
    variable, how = LAUNCHERS.get(args.launcher, (None, ''))
    if variable is not None and variable not in os.environ:
        raise UserError(
            f'--launcher {args.launcher}',
            f'a process that it has begun ({variable} in the environment)',
            'one begun by hand',
            f'use {how}, or leave --launcher out for one process',
        )
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
