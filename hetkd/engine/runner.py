"""The runner: mmengine's, with safe resume and multi-process training on CPUs."""

import os
from typing import Optional

import torch
from mmengine.dist import is_distributed
from mmengine.runner import Runner

from hetkd.registry import RUNNERS
from hetkd.terminal import quieten

from .gloo import start_gloo
from .lasting import LastingRun


@RUNNERS.register_module()
class DistillRunner(LastingRun, Runner):
    """mmengine's ``Runner`` with atomic checkpoints and safe resume.

    - SIGTERM saves and leaves; see :class:`~hetkd.engine.InterruptHook`.
    - Checkpoints hold plain values; a killed write leaves the previous one whole.
    - ``--launcher pytorch`` and ``slurm`` work on a machine without GPUs (gloo).
    - A full disk, an absent data set and a dead data worker end with a message that says what to do.
    - ``env_cfg.matmul_precision`` is that of torch's float32 products: ``'highest'`` (default) is float32,
      ``'high'`` is TF32 on a GPU.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Start gloo where mmengine would ask for CUDA; set the precision of products."""
        if self.distributed and not torch.cuda.is_available() and not is_distributed():
            start_gloo(self.launcher)
        torch.set_float32_matmul_precision(env_cfg.get('matmul_precision', 'highest'))
        super().setup_env(env_cfg)

    def build_logger(self, *args, **kwargs):
        """mmengine's; what the libraries say goes to the log file alone."""
        logger = super().build_logger(*args, **kwargs)
        quieten(logger)
        return logger

    def set_randomness(self, seed, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """mmengine's; a deterministic run gives cuBLAS the workspace that torch then demands."""
        if deterministic:
            os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
            torch.backends.cudnn.benchmark = False  # mmengine would warn, though the default asks for it
        super().set_randomness(seed, diff_rank_seed, deterministic)

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
