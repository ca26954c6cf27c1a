"""Several processes on machines without GPUs."""

import os
import subprocess

import torch

from hetkd.errors import UserError


def start_gloo(launcher: str) -> None:
    """Join the process group with the environment that torchrun or slurm gives.

    mmengine's own start calls ``torch.cuda.set_device`` whatever the backend is.

    Raises:
        UserError: another launcher.
    """
    env = os.environ
    if launcher == 'slurm':
        env.setdefault('RANK', env['SLURM_PROCID'])
        env.setdefault('WORLD_SIZE', env['SLURM_NTASKS'])
        env.setdefault('MASTER_PORT', '29500')
        env['LOCAL_RANK'] = env['SLURM_LOCALID']
        if 'MASTER_ADDR' not in env:
            command = ['scontrol', 'show', 'hostname', env['SLURM_NODELIST']]
            env['MASTER_ADDR'] = subprocess.check_output(command, text=True).split()[0]
    elif launcher != 'pytorch':
        raise UserError(
            'launcher',
            'pytorch or slurm on a machine without GPUs',
            repr(launcher),
            'use tools/dist_train.sh',
        )
    torch.distributed.init_process_group('gloo')
