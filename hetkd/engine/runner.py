"""The runner: mmengine's, with safe checkpoints and multi-process training on CPUs."""

import os
import os.path as osp
import re
import subprocess
from pathlib import Path
from typing import Optional

import torch
from mmengine.dist import is_distributed, master_only
from mmengine.runner import Runner

from hetkd.registry import RUNNERS

from .checkpoint_globals import own_checkpoint
from .loop import DistillTrainLoop
from .termination import Termination, shield

# How mmpretrain and mmengine say that files are not there.
ABSENT = ('not found', 'cannot find', "can't find", 'no such file', 'not integrated', 'download')


@RUNNERS.register_module()
class DistillRunner(Runner):
    """mmengine's ``Runner``, in which nothing is lost.

    - A checkpoint is written to a temporary file and renamed: a killed write leaves the previous one whole,
      and ``--resume`` finds it. A full disk ends with a message that says so.
    - Resuming works with torch >= 2.6, whose ``torch.load`` refuses mmengine's log history, and still runs
      no code from the file.
    - SIGTERM saves and leaves: see :class:`~hetkd.engine.loop.DistillTrainLoop`.
    - ``--launcher pytorch`` and ``slurm`` work on a machine without GPUs (gloo).
    - A data set that is absent, and a data worker that died, end with a message that says what to do.
    """

    termination = Termination()

    @staticmethod
    def build_dataloader(dataloader, *args, **kwargs):
        """mmengine's, with a clear end where the files are missing."""
        try:
            return shield(Runner.build_dataloader(dataloader, *args, **kwargs))
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

    def train(self):
        """Train; SIGTERM is a wish to stop meanwhile."""
        self.termination = Termination()
        with self.termination:
            try:
                return super().train()
            except RuntimeError as error:
                if not re.search(r'DataLoader worker \(pid', str(error)):
                    raise
                raise RuntimeError(
                    f'a data worker has died: it was killed from outside, most often for want of memory. '
                    f'Resume with --resume, with fewer workers (train_dataloader.num_workers) or more shared '
                    f'memory (docker run --shm-size). Reason: {error}'
                ) from error

    def build_train_loop(self, loop):
        """mmengine's; ``by_epoch=True`` takes our loop."""
        if isinstance(loop, dict) and loop.get('by_epoch') and 'type' not in loop:
            loop = {key: value for key, value in loop.items() if key != 'by_epoch'}
            return DistillTrainLoop(**loop, runner=self, dataloader=self._train_dataloader)
        return super().build_train_loop(loop)

    def load_or_resume(self) -> None:
        """mmengine's; ``--resume`` without a name finds the latest whole checkpoint."""
        if self._resume and self._load_from is None and not self._has_loaded:
            self._load_from = latest_checkpoint(self.work_dir)
            self._resume = self._load_from is not None
            self.logger.info(f'resume: {self._load_from or "no checkpoint yet, from the beginning"}')
        super().load_or_resume()

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
        temporary = osp.join(out_dir, f'.{filename}.part')
        try:
            super().save_checkpoint(out_dir, osp.basename(temporary), *args, **kwargs)
            with open(temporary) as file:
                os.fsync(file.fileno())
            os.replace(temporary, osp.join(out_dir, filename))
        except OSError as error:
            Path(temporary).unlink(missing_ok=True)
            raise OSError(
                f'{osp.join(out_dir, filename)}: expected to write a checkpoint, could not ({error}). The '
                f'previous one is whole: free some space, or name another folder by '
                f'default_hooks.checkpoint.out_dir, and go on with --resume'
            ) from error

    @master_only
    def mark_latest(self, filename: str) -> None:
        """Name the checkpoint that ``--resume`` takes."""
        path = osp.join(self.work_dir, 'last_checkpoint')
        Path(path + '.part').write_text(osp.join(self.work_dir, filename))
        os.replace(path + '.part', path)


def latest_checkpoint(work_dir: str) -> Optional[str]:
    """The checkpoint of a work dir that was written last, or None.

    mmengine notes it in ``last_checkpoint``; a kill may leave that note empty, or of a file that is gone.
    """
    folder = Path(work_dir)
    note = folder / 'last_checkpoint'
    named = note.read_text().strip() if note.exists() else ''
    if named and osp.exists(named):
        return named
    found = [x for pattern in ('epoch_*.pth', 'iter_*.pth') for x in folder.glob(pattern)]
    return str(max(found, key=lambda x: x.stat().st_mtime)) if found else None


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
