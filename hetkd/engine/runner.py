"""The runner: mmengine's, with safe checkpoints and multi-process training on CPUs."""

import os.path as osp
from typing import Optional

import torch
from mmengine.dist import is_distributed, master_only
from mmengine.runner import Runner

from hetkd.registry import RUNNERS

from .checkpoint_file import checkpoint_file
from .checkpoint_globals import own_checkpoint
from .gloo import start_gloo
from .lasting import LastingRun


@RUNNERS.register_module()
class DistillRunner(LastingRun, Runner):
    """mmengine's ``Runner``, in which nothing is lost.

    - A checkpoint is written to a temporary file and renamed: a killed write leaves the previous one whole.
    - Resuming works with torch >= 2.6, whose ``torch.load`` refuses mmengine's log history, and still runs
      no code from the file.
    - SIGTERM saves and leaves; see :class:`~hetkd.engine.InterruptHook`.
    - ``--launcher pytorch`` and ``slurm`` work on a machine without GPUs (gloo).
    - A full disk, an absent data set and a dead data worker end with a message that says what to do.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Start gloo where mmengine would ask for CUDA."""
        if self.distributed and not torch.cuda.is_available() and not is_distributed():
            start_gloo(self.launcher)
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
        with checkpoint_file(osp.join(str(out_dir), filename)) as part:
            super().save_checkpoint(out_dir, osp.basename(part), *args, **kwargs)
