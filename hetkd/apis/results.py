"""Results of runs: read records and logs, write tables."""

import csv
import io
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Sequence

from hetkd.errors import UserError

COLUMNS = (
    'config',
    'seed',
    'status',
    'last',
    'best',
    'best_epoch',
    'epochs',
    'seconds',
    'memory_mib',
    'reason',
)


@dataclass
class RunResult:
    """One run of one config with one seed.

    ``status`` is ``'done'``, ``'crashed'`` or ``'missing'``; ``curve`` holds the metric by epoch; ``memory``
    is the peak in MiB, of the GPU where there is one, else of the process.
    """

    config: str
    seed: int
    status: str = 'missing'
    curve: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    memory: Optional[float] = None
    reason: str = ''

    @property
    def last(self) -> Optional[float]:
        """The metric after the last epoch; None if the run is not finished."""
        return self.curve[max(self.curve)] if self.status == 'done' and self.curve else None

    @property
    def best_epoch(self) -> Optional[int]:
        """The first epoch with the best value; None if the run is not finished."""
        if self.last is None:
            return None
        return max(self.curve, key=lambda epoch: (self.curve[epoch], -epoch))

    @property
    def best(self) -> Optional[float]:
        """The best value. It is chosen on the test set, so report it beside the last one, not alone."""
        return None if self.best_epoch is None else self.curve[self.best_epoch]


def read_record(work_dir) -> dict:
    """``results.json`` of a run (see ``RunRecordHook``); empty where there is none yet.

    Raises:
        UserError: it is damaged.
    """
    path = Path(work_dir) / 'results.json'
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text())
        if not isinstance(record['metrics'], dict):
            raise TypeError('metrics are no dict')
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            path,
            'the record of a run',
            f'a damaged file ({type(error).__name__}: {error})',
            'delete it, or the folder of the run',
        ) from error
    return record


def read_curve(work_dir, metric: str = 'accuracy/top1') -> dict[int, float]:
    """A run's metric by epoch."""
    metrics = read_record(work_dir).get('metrics', {})
    return {int(epoch): values[metric] for epoch, values in metrics.items() if metric in values}


def read_epoch(work_dir) -> int:
    """Number of epochs started, from the logs of a run and its resumed parts."""
    epoch = 0
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines()[-20:]:
            try:
                epoch = max(epoch, int(json.loads(line).get('epoch', 0)))
            except json.JSONDecodeError:  # the run was killed while writing
                continue
    return epoch


def by_config(results: Sequence[RunResult]) -> dict[str, list[RunResult]]:
    """Group runs by config, in the order of first appearance."""
    groups: dict[str, list[RunResult]] = {}
    for result in results:
        groups.setdefault(result.config, []).append(result)
    return groups


def to_markdown(results: Sequence[RunResult], metric: str = 'accuracy/top1') -> str:
    """Markdown table, one row per config: mean and standard deviation over the finished seeds."""
    head = f'| config | last {metric} | best {metric} | time of a run | memory | seeds | |'
    rows = [head, '|---|---|---|---|---|---|---|']
    for config, runs in by_config(results).items():
        done = [run for run in runs if run.last is not None]
        crashed = [f'seed {run.seed} crashed: {run.reason}' for run in runs if run.status == 'crashed']
        memory = [run.memory for run in done if run.memory is not None]
        cells = [
            config,
            mean_and_spread([run.last for run in done]),
            mean_and_spread([run.best for run in done]),
            f'{statistics.mean(run.seconds for run in done):.0f} s' if done else '',
            f'{max(memory):.0f} MiB' if memory else '',
            f'{len(done)} of {len(runs)}',
            '; '.join(crashed).replace('|', '/'),
        ]
        rows.append(f'| {" | ".join(cells)} |')
    return '\n'.join(rows) + '\n'


def to_csv(results: Sequence[RunResult]) -> str:
    """CSV table, one line per run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(COLUMNS)
    for run in results:
        last, best = (x if x is None else round(x, 4) for x in (run.last, run.best))
        values = (last, best, run.best_epoch, max(run.curve, default=None), round(run.seconds, 1))
        writer.writerow((run.config, run.seed, run.status, *values, run.memory, run.reason))
    return out.getvalue()


def mean_and_spread(values: Sequence[float]) -> str:
    """``mean ± standard deviation``; the mean alone of a single value, empty for none."""
    if not values:
        return ''
    deviation = f' ± {statistics.stdev(values):.2f}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.2f}{deviation}'
