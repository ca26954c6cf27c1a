"""The runner: mmengine's, with safe checkpoints and multi-process training on CPUs."""

import os
import os.path as osp
import subprocess
from typing import Optional

import torch
from mmengine.dist import is_distributed, master_only
from mmengine.runner import Runner

from hetkd.registry import RUNNERS

from .checkpoint_globals import own_checkpoint

# How mmpretrain and mmengine say that files are not there.
ABSENT = ('not found', 'cannot find', "can't find", 'no such file', 'not integrated', 'download')


@RUNNERS.register_module()
class DistillRunner(Runner):
    """mmengine's ``Runner`` with three repairs.

    - A checkpoint is written to a temporary file and renamed: a killed write leaves the previous one whole.
    - Resuming works with torch >= 2.6, whose ``torch.load`` refuses mmengine's log history, and still runs
      no code from the file.
    - ``--launcher pytorch`` and ``slurm`` work on a machine without GPUs (gloo).

    And a data set that is absent ends with a message that names the command that fetches it.
    """

    @staticmethod
    def build_dataloader(dataloader, *args, **kwargs):
        """mmengine's, with a clear end where the files are missing."""
        try:
            return Runner.build_dataloader(dataloader, *args, **kwargs)
        except (OSError, RuntimeError, AssertionError) as error:
            if not isinstance(error, OSError) and not any(x in str(error).lower() for x in ABSENT):
                raise
            dataset = dataloader.get('dataset', {})
            while 'dataset' in dataset:  # RepeatDataset and the like
                dataset = dataset['dataset']
            prefix = dataset.get('data_prefix')
            root = dataset.get('data_root') or (prefix if isinstance(prefix, str) else '') or '.'
            raise FileNotFoundError(
                f'data set {dataset.get("type")}: expected its files in {osp.abspath(root)}, could not load '
                f'them. Fetch them with `python tools/misc/fetch_data.py CONFIG`, or name the folder that '
                f'holds them: `--cfg-options train_dataloader.dataset.data_root=PATH` (and val_, '
                f'test_dataloader). Reason: {type(error).__name__}: {error}'
            ) from error

    def setup_env(self, env_cfg: dict) -> None:
        """Start gloo where mmengine would ask for CUDA."""
        if self.distributed and not torch.cuda.is_available() and not is_distributed():
            _start_gloo(self.launcher)
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: Optional[dict], model):
        """On CPUs DDP must be told that there are no device ids."""
        if self.distributed and not torch.cuda.is_available() and model_wrapper_cfg is None:
            model_wrapper_cfg = dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
                find_unused_parameters=self.cfg.get('find_unused_parameters', False),
            )
        return super().wrap_model(model_wrapper_cfg, model)

    def load_checkpoint(self, *args, **kwargs):
        """Read a checkpoint of a run of ours (``load_from``, ``--resume``)."""
        with own_checkpoint():
            return super().load_checkpoint(*args, **kwargs)

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, *args, **kwargs) -> None:
        """Write beside the final name, then rename."""
        if '://' in str(out_dir):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        temporary = f'.{filename}.part'
        super().save_checkpoint(out_dir, temporary, *args, **kwargs)
        os.replace(osp.join(out_dir, temporary), osp.join(out_dir, filename))


def _start_gloo(launcher: str) -> None:
    """Join the process group with the environment that torchrun or slurm gives."""
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
        raise ValueError(
            f'launcher: expected pytorch or slurm on a machine without GPUs, got {launcher!r}; use '
            f'tools/dist_train.sh'
        )
    torch.distributed.init_process_group('gloo')
