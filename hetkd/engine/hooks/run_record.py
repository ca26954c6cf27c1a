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

import numpy as np
import torch
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from hetkd.datasets.digest import data_digest
from hetkd.engine.plain_model import plain_model
from hetkd.registry import HOOKS
from hetkd.utils.whole_file import write_whole

PACKAGES = ('hetkd', 'torchvision', 'mmengine', 'mmcv-lite', 'mmcv', 'mmpretrain', 'timm', 'numpy')

# Keys of a model that do not change what it learns.
PLACES = ('checkpoint', 'cache', 'compile', 'channels_last')


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Write ``results.json`` into the work dir, after each validation and at the end; whole or not at all.

    It holds all validation metrics that are numbers by epoch (by iteration where the run counts those), the
    last and the best of ``monitor``, the settings (seed, processes, config file and its digest), the versions
    and the commit, and what identifies data and teacher. Tables are made from it. A resumed run goes on with
    the epochs before.

    Raises:
        ValueError: the run that is resumed in this work dir is of another model.

    Args:
        monitor: the metric whose last and best values are named; larger is better.
    """

    priority = 'VERY_LOW'

    def __init__(self, monitor: str = 'accuracy/top1'):
        self.monitor = monitor
        self._record: dict = {}

    @master_only
    def before_train(self, runner) -> None:
        """Begin the record, or go on with the one of the run that is resumed."""
        path = osp.join(runner.work_dir, 'results.json')
        before = {}
        if runner.iter > 0 and osp.exists(path):
            with open(path) as file:
                earlier = json.load(file)
            self._check_model(runner, earlier['settings'])
            before = {k: v for k, v in earlier['metrics'].items() if int(k) <= _done(runner)}
            self._seconds = earlier['seconds']
        else:
            self._seconds = 0.0
        self._begin = time.time()
        self._record = dict(
            finished=False,
            **({'iterations': runner.max_iters} if _counts_steps(runner) else {'epochs': runner.max_epochs}),
            metrics=before,
            settings=_settings(runner),
            data=data_digest(runner.train_dataloader.dataset),
            teachers=_teachers(plain_model(runner)),
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
    def _check_model(runner, earlier: dict) -> None:
        mine = _model(runner.cfg)
        if earlier.get('model', mine) != mine:
            raise ValueError(
                f'work_dir: expected {runner.work_dir} to hold a run of this model, got one of '
                f'{earlier["config"]} with another method, net or option; give this run a --work-dir of its '
                f"own. To begin with the other run's weights: --cfg-options load_from=CHECKPOINT, no --resume"
            )

    @master_only
    def after_val_epoch(self, runner, metrics=None) -> None:
        """Keep the metrics of this epoch."""
        if self._record:
            self._record['metrics'][str(_done(runner))] = _scalars(metrics or {})
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
            record['peak_memory_mib'] = round(torch.cuda.max_memory_allocated() / 2**20)
        write_whole(osp.join(runner.work_dir, 'results.json'), json.dumps(record, indent=1))


def _counts_steps(runner) -> bool:
    """Whether the run counts iterations, not epochs; the record then does so too."""
    return isinstance(getattr(runner, 'train_loop', None), IterBasedTrainLoop)


def _done(runner) -> int:
    return runner.iter if _counts_steps(runner) else runner.epoch


def _scalars(metrics: dict) -> dict[str, float]:
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
        model=_model(runner.cfg),
        seed=runner.seed,
        processes=get_world_size(),
        batch_size=runner.train_dataloader.batch_size,
    )


def _model(cfg) -> str:
    """Digest of the model's config, but for where files lie and how nets are run."""

    def kept(value):
        if isinstance(value, dict):
            return {k: kept(v) for k, v in value.items() if k not in PLACES}
        return [kept(x) for x in value] if isinstance(value, (list, tuple)) else value

    text = json.dumps(kept(cfg.to_dict().get('model')), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _teachers(model) -> list[dict]:
    return [
        dict(net=x.describe()['net'], weight=x.weight, digest=x.digest(), views=x.views)
        for x in getattr(model, 'teachers', ())
    ]


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
