"""A bar on a terminal."""

import atexit
import logging
import sys

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Eta

from hetkd.engine.steps import counts_iterations
from hetkd.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """A progress bar with the time left, below the log lines, where the output is a terminal.

    Elsewhere (a file, a pipe, a cluster) there are the log's plain lines alone.
    """

    priority = 'VERY_LOW'

    def __init__(self):
        self._bar = None

    def before_train(self, runner) -> None:
        """Draw it."""
        if not is_main_process() or not sys.stdout.isatty():
            return
        columns = [TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn()]
        self._bar = Progress(*columns, TimeElapsedColumn(), TextColumn('ETA'), Eta())
        handlers = [x for x in runner.logger.handlers if type(x) is logging.StreamHandler]
        # Log lines go above the bar: through the stream that it puts in place of the terminal.
        self._streams = [(x, x.stream) for x in handlers if x.stream is sys.stdout]
        self._bar.start()
        atexit.register(self._stop)
        for handler, _ in self._streams:
            handler.setStream(sys.stdout)
        self._train = self._bar.add_task('train', total=runner.max_iters, completed=runner.iter)
        self._val = None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """One step further."""
        if self._bar is not None:
            epochs = f'epoch {runner.epoch + 1}/{runner.max_epochs}'
            text = 'iterations' if counts_iterations(runner.train_loop) else epochs
            self._bar.update(self._train, completed=runner.iter + 1, description=text)

    def before_val_epoch(self, runner) -> None:
        """A second bar while it validates."""
        if self._bar is not None:
            self._val = self._bar.add_task('validation', total=len(runner.val_dataloader))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """One batch further."""
        if self._bar is not None:
            self._bar.advance(self._val)

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Back to one bar."""
        if self._bar is not None:
            self._bar.remove_task(self._val)

    def after_train(self, runner) -> None:
        """Leave the bar as it is."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            for handler, stream in self._streams:
                handler.setStream(stream)
            self._bar.stop()
            atexit.unregister(self._stop)
            self._bar = None
