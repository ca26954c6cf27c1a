"""Checkpoints that are read without running code, wherever the work dir is moved to."""

import os.path as osp
from pathlib import Path

from mmengine.hooks import CheckpointHook, Hook

from hetkd.engine.plain_values import plain
from hetkd.registry import HOOKS


@HOOKS.register_module()
class PortableCheckpointHook(Hook):
    """What mmengine's ``CheckpointHook`` lacks; the runner registers it by itself.

    - A checkpoint holds plain values: see :func:`~hetkd.engine.plain_values.plain`.
    - ``last_checkpoint`` names a file of the work dir without its folder, and a resumed run looks for its
      best checkpoint in its own folder: a work dir may be moved, and a copy leaves the original alone.
    """

    priority = 'VERY_LOW'  # as CheckpointHook, and registered after it
    _is_new = False

    def before_train(self, runner) -> None:
        """Look for the best checkpoint where this run writes."""
        for hook in runner.hooks:
            if not isinstance(hook, CheckpointHook):
                continue
            if getattr(hook, 'best_ckpt_path', None):
                hook.best_ckpt_path = _moved(hook.best_ckpt_path, hook.out_dir)
            best = getattr(hook, 'best_ckpt_path_dict', {})
            best.update({key: _moved(path, hook.out_dir) for key, path in best.items() if path})

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Make it plain."""
        content = plain(checkpoint)
        checkpoint.clear()
        checkpoint.update(content)
        self._is_new = True

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Where the hook counts iterations."""
        self._shorten(runner)

    def after_train_epoch(self, runner) -> None:
        """Where it counts epochs."""
        self._shorten(runner)

    def after_val_epoch(self, runner, metrics=None) -> None:
        """It saves once more with the best."""
        self._shorten(runner)

    def _shorten(self, runner) -> None:
        if not self._is_new:
            return
        self._is_new = False
        note = Path(runner.work_dir, 'last_checkpoint')
        last = note.read_text() if note.exists() else ''
        if osp.dirname(last) == osp.normpath(runner.work_dir):
            runner.mark_latest(osp.basename(last))


def _moved(path: str, folder: str) -> str:
    return osp.join(folder, osp.basename(path))
