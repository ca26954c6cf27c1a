"""Reader of a run's log, mmengine's ``scalars.json``."""

import json
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hetkd.errors import UserError


class Log(NamedTuple):
    """Lines of one run, in the order of the steps."""

    train: list[dict]
    """Of training: ``step`` is the iteration."""
    val: list[dict]
    """Of validation: ``step`` is the epoch."""

    def curve(self, key: str) -> tuple[list[float], list[float]]:
        """Epochs (fractions for training; iterations for a run by iteration) and values of a quantity."""
        found = [(x['step'], x[key]) for x in self.val if key in x]
        if not found or key in ('time', 'data_time'):
            length = self._epoch_length()
            found = [(x['step'] / length, x[key]) for x in self.train if key in x]
        return [x for x, _ in found], [x for _, x in found]

    def _epoch_length(self) -> float:
        """Iterations of an epoch, estimated from the lines; 1 for a run by iteration."""
        if not self.train or 'epoch' not in self.train[-1]:
            return 1
        first = {}
        for line in self.train:
            first.setdefault(line['epoch'], line['step'])
        begin, end = min(first), max(first)
        if end > begin:
            return (first[end] - first[begin]) / (end - begin)
        return max(x['step'] / x['epoch'] for x in self.train)

    def keys(self) -> list[str]:
        """Names of all logged quantities."""
        names = dict.fromkeys(key for line in [*self.train, *self.val] for key in line)
        return [key for key in names if key not in ('step', 'epoch', 'iter')]


def read_log(path) -> Log:
    """Read a ``scalars.json``, or all of a work dir; a resumed part replaces the steps that it repeats.

    Raises:
        UserError: there is none.
    """
    path = Path(path)
    files = sorted(path.glob('*/vis_data/scalars.json')) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise UserError(
            path,
            'a work dir with */vis_data/scalars.json, or such a file',
            'none',
            'keep LocalVisBackend in vis_backends',
        )
    log = Log([], [])
    for file in files:
        part = Log([], [])
        for line in file.read_text().splitlines():
            try:
                values = json.loads(line)
            except json.JSONDecodeError:  # the run was killed while writing
                continue
            # As in mmpretrain's load_json_log: training lines have a learning rate.
            (part.train if 'lr' in values else part.val).append(values)
        for old, new in zip(log, part):
            old[:] = [x for x in old if not new or x['step'] < new[0]['step']] + new
    return log


def train_time(log: Log, include_outliers: bool = False) -> dict:
    """Seconds per iteration: mean, slowest and fastest epoch, as in mmpretrain's tool.

    Args:
        log: log of a run.
        include_outliers: count the first line of each epoch too.

    Raises:
        UserError: no training line is left.
    """
    epochs = {}
    if log.train and 'epoch' not in log.train[0]:
        raise UserError(
            'log',
            'lines of epochs',
            'those of a run of iterations',
            'look at its times by plot_curve --keys time',
        )
    for epoch, lines in groupby(log.train, lambda x: x['epoch']):
        times = [x['time'] for x in lines]
        times = times if include_outliers or len(times) == 1 else times[1:]
        epochs[epoch] = float(np.mean(times))
    if not epochs:
        raise UserError('log', 'lines of training', 'none', 'the run has not come to its first one')
    slowest, fastest = max(epochs, key=epochs.get), min(epochs, key=epochs.get)
    return dict(
        slowest_epoch=slowest,
        slowest=epochs[slowest],
        fastest_epoch=fastest,
        fastest=epochs[fastest],
        deviation_over_epochs=float(np.std(list(epochs.values()))),
        mean=float(np.mean([x['time'] for x in log.train])),
        epochs=epochs,
    )
