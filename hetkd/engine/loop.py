"""The training loop: mmengine's, which stops and goes on within an epoch."""

from contextlib import contextmanager
from itertools import islice

import torch
from mmengine.dist import all_reduce_params, get_world_size
from mmengine.runner import EpochBasedTrainLoop

from hetkd.registry import LOOPS

FILE = 'terminated.pth'
AGREE_EVERY = 10


@LOOPS.register_module()
class DistillTrainLoop(EpochBasedTrainLoop):
    """mmengine's ``EpochBasedTrainLoop`` with three additions.

    - After SIGTERM it finishes the step, saves ``terminated.pth`` and leaves with status 143. The processes
      of a distributed run agree on the step.
    - A run that is resumed within an epoch goes on with the next batch, without loading those before.
    - A run that is resumed at the end of an epoch first repeats its validation, which may have been cut off.

    ``DistillRunner`` takes it for ``train_cfg=dict(by_epoch=True, ...)``.
    """

    def run(self) -> torch.nn.Module:
        """Train."""
        self._group = torch.distributed.new_group(backend='gloo') if get_world_size() > 1 else None
        self._stops = False
        first = self._first_batch()
        self.runner.call_hook('before_train')
        if self._epoch and not first:
            self._validate()
        while self._epoch < self._max_epochs and not self.stop_training:
            self._run_epoch(first)
            first = 0
            self._validate()
            self._stop_if_asked(agree=True)
        self.runner.call_hook('after_train')
        return self.runner.model

    def _first_batch(self) -> int:
        """Batches of the current epoch that the resumed run has seen."""
        length = len(self.dataloader)
        first = self._iter - self._epoch * length
        if 0 <= first < length:
            return first
        self.runner.logger.warning(
            f'resume: expected iteration {self._epoch * length} to {self._epoch * length + length} in epoch '
            f'{self._epoch + 1}, got {self._iter}: the batch size, the number of processes or the data set '
            f'has changed. The epoch begins anew'
        )
        self._iter = self._epoch * length
        return 0

    def _run_epoch(self, first: int) -> None:
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        with starting_at(self.dataloader, first):
            for idx, data_batch in enumerate(self.dataloader, first):
                self.run_iter(idx, data_batch)
                if idx + 1 < len(self.dataloader):  # the last step is followed by the epoch's own end
                    self._stop_if_asked(agree=(idx + 1) % AGREE_EVERY == 0)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _validate(self) -> None:
        self._decide_current_val_interval()
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        if self.runner.val_loop is not None and self._epoch >= self.val_begin and due:
            self.runner.val_loop.run()

    def _stop_if_asked(self, agree: bool) -> None:
        """Save and leave after a SIGTERM; at a step where no gradient is left over."""
        if self._group is None:
            self._stops = self.runner.termination.requested
        elif agree and not self._stops:
            flag = torch.tensor(int(self.runner.termination.requested))
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX, group=self._group)
            self._stops = bool(flag)
        count = getattr(self.runner.optim_wrapper, '_accumulative_counts', 1)
        if not self._stops or self._iter % count:
            return
        # As SyncBuffersHook at an epoch's end: each process has its own batch-norm statistics.
        all_reduce_params(self.runner.model.buffers(), op='mean')
        meta = dict(epoch=self._epoch, iter=self._iter)
        self.runner.save_checkpoint(self.runner.work_dir, FILE, meta=meta)
        self.runner.mark_latest(FILE)
        if self._group is not None:  # a launcher ends all processes as soon as one has left
            torch.distributed.barrier(self._group)
        self.runner.logger.info(
            f'SIGTERM: saved {self.runner.work_dir}/{FILE} after iteration {self._iter}; go on with --resume'
        )
        self.runner.visualizer.close()
        raise SystemExit(143)


@contextmanager
def starting_at(loader, batch: int):
    """Leave the first batches of a data loader's next epoch out."""
    if batch == 0:
        yield
        return
    batches = loader.batch_sampler
    whole = batches.sampler
    batches.sampler = _Rest(whole, batch * batches.batch_size)
    try:
        yield
    finally:
        batches.sampler = whole


class _Rest:
    """The indices of a sampler from a place on."""

    def __init__(self, sampler, first: int):
        self.sampler, self.first = sampler, first

    def __iter__(self):
        return islice(iter(self.sampler), self.first, None)

    def __len__(self) -> int:
        return len(self.sampler)  # the epoch's length stays what it is
