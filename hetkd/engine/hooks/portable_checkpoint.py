"""Checkpoints that are read without running code, wherever the work dir is moved to."""

import os.path as osp
from pathlib import Path

from mmengine.hooks import CheckpointHook, Hook

from hetkd.datasets.transforms import resize_filter
from hetkd.engine.plain_model import plain_model
from hetkd.engine.plain_values import plain
from hetkd.registry import HOOKS

# Of torch's interpolate, as a teacher's adapter uses it.
FILTERS = ('bilinear', 'bicubic')


@HOOKS.register_module()
class PortableCheckpointHook(Hook):
    """What mmengine's ``CheckpointHook`` lacks; the runner registers it by itself.

    - A checkpoint holds plain values: see :func:`~hetkd.engine.plain_values.plain`. Its ``meta`` records the
      filter that resizes the validation images, for whom the net will teach at another size.
    - ``last_checkpoint`` names a file of the work dir without its folder, and a resumed run looks for its
      best checkpoint in its own folder: a work dir may be moved, and a copy leaves the original alone.
    - ``save_last`` holds for a run that stops early too.
    """

    priority = 'LOWEST'  # and registered after all but ResumeHook: what any hook adds is made plain
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
        checkpoint['meta'].update(_filter_of(runner))
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

    def after_train(self, runner) -> None:
        """Save the last weights of a run that has stopped early."""
        if not getattr(runner.train_loop, 'stop_training', False):
            return
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and hook.save_last:
                step = runner.epoch if hook.by_epoch else runner.iter
                if osp.basename(hook.last_ckpt or '') != hook.filename_tmpl.format(step):
                    place = dict(epoch=runner.epoch, iter=runner.iter)
                    hook._save_checkpoint_with_step(runner, step, meta=place)
        self._shorten(runner)

    def _shorten(self, runner) -> None:
        if not self._is_new:
            return
        self._is_new = False
        note = Path(runner.work_dir, 'last_checkpoint')
        last = note.read_text() if note.exists() else ''
        if osp.dirname(last) == osp.normpath(runner.work_dir):
            runner.mark_latest(osp.basename(last))


def _filter_of(runner) -> dict[str, str]:
    view = getattr(getattr(plain_model(runner), 'data_preprocessor', None), 'test_view', None)
    loader = runner.cfg.get('val_dataloader') or runner.cfg.get('test_dataloader') or {}
    found = resize_filter(loader.get('dataset', {}).get('pipeline', [])) or getattr(
        view, 'interpolation', None
    )
    return dict(resize=found) if found in FILTERS else {}


def _moved(path: str, folder: str) -> str:
    return osp.join(folder, osp.basename(path))
