"""A run in a few lines: what is trained by what, a line an epoch, and where the files are."""

import os.path as osp
import time
from datetime import timedelta

from mmengine.dist import get_world_size
from mmengine.hooks import Hook

from hetkd.engine.batches import batch_size_of
from hetkd.engine.plain_model import plain_model
from hetkd.engine.steps import counts_iterations
from hetkd.registry import HOOKS

from .run_record import scalars


@HOOKS.register_module()
class SummaryHook(Hook):
    """Log nets, data and length of a run, a line an epoch, and what it leaves; the lines of the terminal.

    A line has the means of the losses over the epoch, and the metrics where it was validated. A run that
    counts iterations has one each ``val_interval``. Every run of hetkd's runners has this hook.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self):
        self._line = ''

    def before_train(self, runner) -> None:
        """What is trained by what, and how long."""
        self._begin, model, loader = time.time(), plain_model(runner), runner.train_dataloader
        # Whose val_interval is the steps of a line, where no epoch ends it.
        self._loop = runner.train_loop if counts_iterations(runner.train_loop) else None
        student = getattr(model, 'student', model)
        teachers = ' and '.join(x.describe()['net'] for x in getattr(model, 'teachers', ()))
        data = f'{_data(loader)} to train on'
        if runner.val_loop is not None:
            data += f', {_data(runner.val_dataloader)} to validate on'
        length = f'{runner.max_iters:,} steps'
        if not counts_iterations(runner.train_loop):
            length = f'{runner.max_epochs} epochs of {len(loader):,} steps'
        processes = f'{get_world_size()} x ' if get_world_size() > 1 else ''
        for line in (
            f'{type(model).__name__}: {_net(student)} learns from {teachers or "labels alone"}',
            f'data: {data}; {getattr(student, "num_classes", "?")} classes',
            f'{length}, each of {processes}{batch_size_of(loader) or "some"} images',
            f'files: {runner.work_dir}; the whole log: {osp.join(runner.log_dir, runner.timestamp)}.log',
        ):
            runner.logger.info(line)

    def after_train_epoch(self, runner) -> None:
        """The line of an epoch; a validation may still add to it."""
        if self._loop is None:
            steps = len(runner.train_dataloader)
            self._line = f'epoch {runner.epoch + 1}/{runner.max_epochs}' + _losses(runner, steps)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """No validation has come."""
        self._flush(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """The line of a run that counts iterations."""
        if self._loop is None:
            return
        done, interval = runner.iter + 1, self._loop.val_interval
        if done % interval == 0 or done == runner.max_iters:
            steps = done % interval or interval
            self._line = f'iteration {done}/{runner.max_iters}' + _losses(runner, steps)

    def after_val_epoch(self, runner, metrics=None) -> None:
        """The line with its metrics."""
        self._line = (self._line or 'validation') + _texts(scalars(metrics or {}))
        self._flush(runner)

    def after_train(self, runner) -> None:
        """What the run leaves."""
        self._flush(runner)
        saved = {x for key, x in runner.message_hub.runtime_info.items() if key.endswith('_ckpt')}
        runner.logger.info(
            f'trained in {timedelta(seconds=round(time.time() - self._begin))}; {runner.work_dir}: '
            f'{", ".join(sorted({osp.basename(str(x)) for x in saved}))}'
        )

    def after_test_epoch(self, runner, metrics=None) -> None:
        """The metrics of a test."""
        runner.logger.info(f'test on {_data(runner.test_dataloader)}{_texts(scalars(metrics or {}))}')

    def _flush(self, runner) -> None:
        if self._line:
            runner.logger.info(self._line)
            self._line = ''


def _net(student) -> str:
    """Name and image size of a student."""
    model = getattr(student, 'model', student)
    size = getattr(getattr(student, 'input_spec', None), 'size', None)
    pixels = f' ({"x".join(map(str, size))} px)' if size else ''
    return type(getattr(model, 'backbone', model)).__name__ + pixels


def _data(loader) -> str:
    kind = getattr(loader.dataset, 'kind', type(loader.dataset).__name__)  # InMemory holds another data set
    return f'{len(loader.dataset):,} images of {kind}'


def _losses(runner, steps: int) -> str:
    """Time left, and the means of the losses over the last steps."""
    hub = runner.message_hub
    eta = hub.runtime_info.get('eta')
    return ('' if eta is None else f'  eta: {timedelta(seconds=int(eta))}') + _texts(
        {
            key.removeprefix('train/'): x.mean(steps)
            for key, x in hub.log_scalars.items()
            if key.startswith('train/') and 'loss' in key
        }
    )


def _texts(values: dict[str, float]) -> str:
    return ''.join(f'  {key}: {value:.4g}' for key, value in values.items())
