"""Local files of mmengine: atomic writes; a checkpoint is removed after its successor is written."""

import os.path as osp
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.utils import mkdir_or_exist

from hetkd.errors import UserError
from hetkd.utils.whole_file import written_whole

SUFFIX = '.pth'


@register_backend('local', force=True, prefixes='')
class AtomicBackend(LocalBackend):
    """mmengine's ``LocalBackend``, in whose place it is registered, so that any ``CheckpointHook`` uses it.

    mmengine removes an outdated checkpoint before it writes the new one. Here ``remove`` of a ``.pth`` file
    takes effect after the next ``.pth`` file of its folder is written.
    """

    _outdated: set[str] = set()  # of all instances: the hook removes by another one than it writes

    def put(self, obj: bytes, filepath) -> None:
        """Write beside the file, then rename.

        Raises:
            UserError: it cannot be written (a full disk).
        """
        mkdir_or_exist(osp.dirname(filepath))
        try:
            with written_whole(filepath) as file:
                file.write(obj)
        except OSError as error:
            raise UserError(
                filepath,
                'to write this file',
                error,
                'the previous checkpoint is whole: free some space, or name another folder by '
                'default_hooks.checkpoint.out_dir, and continue with --resume',
            ) from error
        if str(filepath).endswith(SUFFIX):
            self._remove_outdated(osp.abspath(filepath))

    def put_text(self, obj: str, filepath, encoding: str = 'utf-8') -> None:
        """As :meth:`put`."""
        self.put(obj.encode(encoding), filepath)

    def remove(self, filepath) -> None:
        """Remove a file, a checkpoint later."""
        if str(filepath).endswith(SUFFIX):
            self._outdated.add(osp.abspath(filepath))
        else:
            super().remove(filepath)

    def _remove_outdated(self, written: str) -> None:
        self._outdated.discard(written)
        for path in [x for x in self._outdated if osp.dirname(x) == osp.dirname(written)]:
            self._outdated.remove(path)
            Path(path).unlink(missing_ok=True)
