"""Checkpoints of which one is always whole."""

from mmengine.hooks import CheckpointHook

from hetkd.registry import HOOKS


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` that removes an outdated file after the new one is whole, not before."""

    def before_train(self, runner) -> None:
        """Find the folder."""
        super().before_train(runner)
        if not isinstance(self.file_backend, _LateRemoval):
            self.file_backend = _LateRemoval(self.file_backend)

    def _save_checkpoint_with_step(self, runner, step, meta):
        super()._save_checkpoint_with_step(runner, step, meta)
        self.file_backend.flush(kept={self.last_ckpt, getattr(self, 'best_ckpt_path', None)})

    def _save_best_checkpoint(self, runner, metrics) -> None:
        super()._save_best_checkpoint(runner, metrics)
        best = getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()
        self.file_backend.flush(kept={self.last_ckpt, *best})


class _LateRemoval:
    """A file backend that removes when it is told to."""

    def __init__(self, backend):
        self._backend = backend
        self._outdated: list[str] = []

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def remove(self, path) -> None:
        self._outdated.append(path)

    def flush(self, kept) -> None:
        outdated, self._outdated = self._outdated, []
        for path in outdated:
            if path not in kept:
                self._backend.remove(path)
