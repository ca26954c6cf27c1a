"""Graceful SIGTERM, SIGINT and SIGHUP, and resume within an epoch, for mmengine's loops."""

import signal
import threading
from contextlib import ExitStack, contextmanager

import torch
from mmengine.dist import all_reduce_params, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from hetkd.clock import finish_steps
from hetkd.engine.batches import starting_at
from hetkd.registry import HOOKS

FILE = 'terminated.pth'
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
AGREE_EVERY = 10


@HOOKS.register_module()
class InterruptHook(Hook):
    """Stop after the current step on SIGTERM, SIGINT (Ctrl-C) or SIGHUP; ``--resume`` continues there.

    - After the signal the run finishes the step, saves ``terminated.pth`` and leaves with status 143, 130 or
      129. The processes of a distributed run agree on the step. A second Ctrl-C ends it at once.
    - A run that is resumed within an epoch continues with the next batch, without loading those before.

    It works with ``EpochBasedTrainLoop``, ``IterBasedTrainLoop`` and subclasses of them.
    """

    priority = 'LOWEST'  # a step is finished when all other hooks have had it

    def before_train(self, runner) -> None:
        """Note signals from now on, and find the place of a resumed run."""
        self._group = torch.distributed.new_group(backend='gloo') if get_world_size() > 1 else None
        self._asked, self._stops = 0, False
        self._handlers = {}
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
            finish_steps(True)
        loop = runner.train_loop
        self._resumed = ExitStack()
        self._first = _first_batch(runner) if isinstance(loop, EpochBasedTrainLoop) else 0

    def _note(self, number: int, frame) -> None:
        if number == self._asked == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = number

    def before_train_epoch(self, runner) -> None:
        """Leave out the batches that were seen before the run was resumed."""
        if self._first:
            self._resumed.enter_context(starting_at(runner.train_loop.dataloader, self._first))
            self._resumed.enter_context(_numbered_from(runner.train_loop, self._first))
            self._first = 0

    def after_train_epoch(self, runner) -> None:
        """The next epoch begins with its first batch."""
        self._resumed.close()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Save and leave after a signal, at a step where no gradient is left over."""
        done = runner.iter + 1
        if self._group is None:
            self._stops = bool(self._asked)
        elif done % AGREE_EVERY == 0 and not self._stops:
            flag = torch.tensor(self._asked)
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX, group=self._group)
            if flag:  # else a signal that has come meanwhile waits for the next time
                self._asked, self._stops = int(flag), True
        if self._stops and done % getattr(runner.optim_wrapper, '_accumulative_counts', 1) == 0:
            self._leave(runner, done)

    def _leave(self, runner, done: int) -> None:
        # As SyncBuffersHook at an epoch's end: each process has its own batch-norm statistics.
        all_reduce_params(runner.model.buffers(), op='mean')
        runner.save_checkpoint(runner.work_dir, FILE, meta=dict(epoch=runner.epoch, iter=done))
        runner.mark_latest(FILE)
        if self._group is not None:  # a launcher ends all processes as soon as one has left
            torch.distributed.barrier(self._group)
        runner.logger.info(
            f'{signal.Signals(self._asked).name}: saved {runner.work_dir}/{FILE} after iteration {done}; '
            f'continue with --resume'
        )
        runner.visualizer.close()
        self._handlers = {}  # launchers repeat the signal: it changes nothing for a process that leaves
        raise SystemExit(128 + self._asked)

    def after_train(self, runner) -> None:
        """The signals are what they were before."""
        self.release(runner)

    def release(self, runner) -> None:
        """The same, also after an error; called by the runner. A run that leaves keeps noting signals."""
        finish_steps(False)
        for number, handler in getattr(self, '_handlers', {}).items():
            signal.signal(number, handler)
        self._handlers = {}


def _first_batch(runner) -> int:
    """Batches of the current epoch that a resumed run has seen; all of them just before the epoch's end."""
    loop = runner.train_loop
    length = len(loop.dataloader)
    first = loop.iter - loop.epoch * length
    if 0 <= first <= length:
        return first
    runner.logger.warning(
        f'resume: expected iteration {loop.epoch * length} to {loop.epoch * length + length} in epoch '
        f'{loop.epoch + 1}, got {loop.iter}: the batch size, the number of processes or the data set '
        f'has changed. The epoch is repeated'
    )
    loop._iter = loop.epoch * length
    return 0


@contextmanager
def _numbered_from(loop, first: int):
    """Let the hooks see a batch's number in the epoch, not the one since the run was resumed."""
    run_iter = loop.run_iter
    loop.run_iter = lambda idx, *args, **kwargs: run_iter(first + idx, *args, **kwargs)
    try:
        yield
    finally:
        del loop.run_iter
