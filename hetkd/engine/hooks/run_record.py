"""What a run gave and what it was made of, in one file."""

import hashlib
import json
import math
import os.path as osp
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from numbers import Number
from typing import Optional

import numpy as np
import torch
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from hetkd.engine.batches import batch_size_of
from hetkd.engine.made_of import made_of
from hetkd.errors import UserError
from hetkd.registry import HOOKS
from hetkd.utils.whole_file import write_whole

from .resume import history

PACKAGES = ('hetkd', 'torchvision', 'mmengine', 'mmcv-lite', 'mmcv', 'mmpretrain', 'timm', 'numpy')


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Write ``results.json`` into the work dir, after each validation and at the end; whole or not at all.

    It holds all validation metrics that are numbers by epoch (by iteration where the run counts those), the
    last and the best of ``monitor``, the settings (seed, processes, config file and its digest), the versions
    and the commit, what identifies data and teacher, and what was changed from which epoch on. Tables are
    made from it. A resumed run continues with the epochs before.

    Raises:
        UserError: the work dir holds another run than the one that is resumed.

    Args:
        monitor: the metric whose last and best values are named; larger is better.
    """

    priority = 'VERY_LOW'

    def __init__(self, monitor: str = 'accuracy/top1'):
        self.monitor = monitor
        self._record: dict = {}

    @master_only
    def before_train(self, runner) -> None:
        """Begin the record, or continue with the one of the run that is resumed."""
        which = history(runner)
        earlier = self._earlier(runner, which.get('run'))
        self._seconds, self._peak = earlier.get('seconds', 0.0), earlier.get('peak', 0)
        self._begin = time.time()
        self._record = dict(
            finished=False,
            **({'iterations': runner.max_iters} if _counts_steps(runner) else {'epochs': runner.max_epochs}),
            metrics=earlier.get('metrics', {}),
            **which,
            settings=_settings(runner),
            data=made_of(runner)['data'],
            teachers=made_of(runner)['teachers'],
            versions=_versions(),
            commit=_commit(),
            machine=dict(
                system=platform.platform(),
                device=torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor(),
                threads=torch.get_num_threads(),
            ),
        )
        self._write(runner)

    @staticmethod
    def _earlier(runner, run: Optional[str]) -> dict:
        """The record of the run that is resumed; empty where there is none, or a damaged one."""
        path = osp.join(runner.work_dir, 'results.json')
        if runner.iter == 0 or not osp.exists(path):
            return {}
        try:
            with open(path) as file:
                earlier = json.load(file)
            found = dict(
                metrics={k: dict(v) for k, v in earlier['metrics'].items() if int(k) <= _done(runner)},
                seconds=float(earlier['seconds']),
                peak=int(earlier.get('peak_memory_mib', 0)),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            runner.logger.warning(
                f'{path}: expected the record of the run, got a damaged one ({type(error).__name__}: '
                f'{error}); it begins anew, without the epochs before'
            )
            return {}
        if earlier.get('run', run) != run:
            raise UserError(
                'work_dir',
                f'{runner.work_dir} to hold the run of the checkpoint',
                'another run',
                'name another --work-dir',
            )
        return found

    @master_only
    def after_val_epoch(self, runner, metrics=None) -> None:
        """Keep the metrics of this epoch."""
        if self._record:
            self._record['metrics'][str(_done(runner))] = scalars(metrics or {})
            self._write(runner)

    @master_only
    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Count the time up to a checkpoint, from which an interrupted run goes on."""
        if self._record:
            self._write(runner)

    @master_only
    def after_train(self, runner) -> None:
        """The run has come to its end."""
        self._record['finished'] = True
        self._write(runner)

    def _write(self, runner) -> None:
        record = self._record
        curve = {int(k): v[self.monitor] for k, v in record['metrics'].items() if self.monitor in v}
        record['seconds'] = round(self._seconds + time.time() - self._begin, 1)
        if curve:
            last, best = max(curve), max(curve, key=lambda step: (curve[step], -step))
            unit = 'iteration' if _counts_steps(runner) else 'epoch'
            record['last'] = {unit: last, 'metric': self.monitor, 'value': curve[last]}
            record['best'] = {unit: best, 'metric': self.monitor, 'value': curve[best]}
        if torch.cuda.is_available():
            record['peak_memory_mib'] = max(self._peak, round(torch.cuda.max_memory_allocated() / 2**20))
        write_whole(osp.join(runner.work_dir, 'results.json'), json.dumps(record, indent=1))


def _counts_steps(runner) -> bool:
    """Whether the run counts iterations, not epochs; the record then does so too."""
    return isinstance(getattr(runner, 'train_loop', None), IterBasedTrainLoop)


def _done(runner) -> int:
    return runner.iter if _counts_steps(runner) else runner.epoch


def scalars(metrics: dict) -> dict[str, float]:
    """Numbers only: a confusion matrix or a value for each class has no place in a table."""
    kept = {}
    for key, value in metrics.items():
        if isinstance(value, (torch.Tensor, np.ndarray)) and math.prod(value.shape) == 1:
            value = value.item()
        if isinstance(value, (Number, np.generic)):
            kept[key] = float(value)
    return kept


def _settings(runner) -> dict:
    text = json.dumps(runner.cfg.to_dict(), sort_keys=True, default=str)
    return dict(
        config=runner.cfg.filename and osp.relpath(runner.cfg.filename),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        seed=runner.seed,
        processes=get_world_size(),
        batch_size=batch_size_of(runner.train_dataloader),
    )


def _versions() -> dict:
    versions = dict(python=platform.python_version(), torch=torch.__version__)
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _commit() -> str:
    """The commit of hetkd's checkout, with ``+`` where files differ from it; empty outside a checkout."""
    here = osp.dirname(__file__)

    def git(*args):
        return subprocess.run(['git', '-C', here, *args], capture_output=True, text=True, check=True).stdout

    try:
        return git('rev-parse', 'HEAD').strip() + (
            '+' if git('status', '--porcelain', '-uno').strip() else ''
        )
    except (OSError, subprocess.CalledProcessError):
        return ''
