"""Results of runs: read records and logs, write tables."""

import csv
import io
import json
import re
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Sequence

from hetkd.errors import UserError

from .config import is_of_method
from .gains import gain, gain_text

SCRATCH = 'scratch'
FALLING = {'ece', 'kl'}
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
    'teacher',
    'reason',
)


@dataclass
class RunResult:
    """One run of one config with one seed.

    ``status`` is ``'done'``, ``'crashed'`` or ``'missing'``; ``curve`` holds the metric by epoch; ``memory``
    is the peak in MiB, of the GPU where there is one, else of the process; ``teacher`` is the teacher's value
    of the metric, where the run measured it; ``taught_by`` are digests of the teachers. ``falls`` says that
    smaller is better.
    """

    config: str
    seed: int
    status: str = 'missing'
    curve: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    memory: Optional[float] = None
    reason: str = ''
    teacher: Optional[float] = None
    taught_by: tuple[str, ...] = ()
    falls: bool = False

    @property
    def last(self) -> Optional[float]:
        """The metric after the last epoch; None if the run is not finished."""
        return self.curve[max(self.curve)] if self.status == 'done' and self.curve else None

    @property
    def best_epoch(self) -> Optional[int]:
        """The first epoch with the best value; None if the run is not finished."""
        if self.last is None:
            return None
        sign = -1 if self.falls else 1
        return max(self.curve, key=lambda epoch: (sign * self.curve[epoch], -epoch))

    @property
    def best(self) -> Optional[float]:
        """The best value. It is chosen on the test set, so report it beside the last one, not alone."""
        return None if self.best_epoch is None else self.curve[self.best_epoch]


def is_falling(metric: str) -> bool:
    """Whether smaller is better: of errors, distances and losses."""
    return metric.rpartition('/')[2] in FALLING or 'loss' in metric


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


def finished_runs(folder) -> dict[Path, dict]:
    """Records of a comparison's finished runs by their folders, ``METHOD/CONFIG[/KEY=VALUE...]/seed<k>``.

    Raises:
        UserError: a damaged record.
    """
    folder, runs = Path(folder), {}
    for path in sorted(folder.glob('*/*/**/seed*/results.json')):
        changes = path.relative_to(folder).parts[2:-2]
        if all('=' in x for x in changes) and (record := read_record(path.parent)).get('finished'):
            runs[path.parent] = record
    return runs


def row_name(method: str, changes: Sequence[str] = ()) -> str:
    """The name of a method with each ``KEY=VALUE`` of a sweep; a key of the model without ``model.``."""
    return ', '.join([method, *(x.removeprefix('model.') for x in changes)])


def of_scratch(changes: Sequence[str]) -> tuple[str, ...]:
    """Those ``KEY=VALUE`` of a sweep that the student alone has too: all but the method's."""
    return tuple(x for x in changes if not is_of_method(x.partition('=')[0]))


def read_curve(work_dir, metric: str = 'accuracy/top1') -> dict[int, float]:
    """A run's metric by epoch."""
    return curve_of(read_record(work_dir), metric)


def curve_of(record: dict, metric: str) -> dict[int, float]:
    """The same from the run's record."""
    metrics = record.get('metrics', {})
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


def table(results: Sequence[RunResult], metric: str = 'accuracy/top1') -> list[list[str]]:
    """A row of titles, then one a config: means and standard deviations over the finished seeds, and gains.

    The columns of gains are there where a config is ``scratch/...``, or where runs know their teacher's
    value.
    """
    groups = by_config(results)
    done = {x: [run for run in runs if run.last is not None] for x, runs in groups.items()}
    last = {x: {run.seed: run.last for run in runs} for x, runs in done.items()}
    teacher = {
        x: {run.seed: run.teacher for run in runs if run.teacher is not None} for x, runs in done.items()
    }
    gains, word = {}, 'difference to' if is_falling(metric) else 'gain over'
    if any(map(_is_scratch, groups)):
        gains[f'{word} scratch'] = {
            x: gain_text(gain(last[x], last.get(_scratch_of(x, groups), {}))) for x in groups
        }
    if any(teacher.values()):
        gains[f'{word} teacher'] = {x: gain_text(gain(last[x], teacher[x])) for x in groups}
    rows = [
        ['config', f'last {metric}', *gains, f'best {metric}', 'time of a run', 'memory', 'seeds', ''],
    ]
    for config, runs in groups.items():
        ended = done[config]
        notes = [f'seed {run.seed} crashed: {run.reason}' for run in runs if run.status == 'crashed']
        if len({run.taught_by for run in ended}) > 1:
            notes.append('its seeds have different teachers')
        memory = [run.memory for run in ended if run.memory is not None]
        rows.append(
            [
                config,
                mean_and_spread([run.last for run in ended]),
                *(column[config] for column in gains.values()),
                mean_and_spread([run.best for run in ended]),
                f'{statistics.mean(run.seconds for run in ended):.0f} s' if ended else '',
                f'{max(memory):.0f} MiB' if memory else '',
                f'{len(ended)} of {len(runs)}',
                '; '.join(notes),
            ]
        )
    return rows


def _is_scratch(config: str) -> bool:
    return config.startswith(f'{SCRATCH}/')


def _scratch_of(config: str, groups: dict) -> str:
    """The config of the student alone on the same pair, with the same settings but for those of the model."""
    _, *pair = config.split('/')
    names = [
        '/'.join([SCRATCH, *pair]),
        '/'.join([SCRATCH, *of_scratch(pair)]),
    ]
    return '' if _is_scratch(config) else next((x for x in names if x in groups), '')


def to_markdown(results: Sequence[RunResult], metric: str = 'accuracy/top1') -> str:
    """Markdown table; see :func:`table`."""
    titles, *rows = table(results, metric)
    lines = [titles, ['---'] * len(titles), *([x.replace('|', '/') for x in row] for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines) + '\n'


def to_latex(results: Sequence[RunResult], metric: str = 'accuracy/top1') -> str:
    """LaTeX table for ``\\usepackage{booktabs}``, without crashes; see :func:`table`."""
    titles, *rows = (row[:-1] for row in table(results, metric))
    lines = [' & '.join(map(_latex, row)) + r' \\' for row in (titles, *rows)]
    columns = 'l' + 'r' * (len(titles) - 1)
    lines = [
        rf'\begin{{tabular}}{{{columns}}}',
        r'\toprule',
        lines[0],
        r'\midrule',
        *lines[1:],
        r'\bottomrule',
    ]
    return '\n'.join([*lines, r'\end{tabular}']) + '\n'


def _latex(text: str) -> str:
    text = re.sub(r'([_%&#$])', r'\\\1', text).replace(' ± ', r' $\pm$ ')
    return re.sub(r'^([+-])(?=\d)', r'$\1$', text)


def to_csv(results: Sequence[RunResult]) -> str:
    """CSV table, one line per run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(COLUMNS)
    for run in results:
        values = (
            rounded(run.last),
            rounded(run.best),
            run.best_epoch,
            max(run.curve, default=None),
            round(run.seconds, 1),
        )
        writer.writerow(
            (run.config, run.seed, run.status, *values, run.memory, rounded(run.teacher), run.reason)
        )
    return out.getvalue()


def rounded(value: Optional[float]) -> Optional[float]:
    """To four digits after the point."""
    return None if value is None else round(value, 4)


def mean_and_spread(values: Sequence[float]) -> str:
    """``mean ± standard deviation``; the mean alone of a single value, empty for none."""
    if not values:
        return ''
    deviation = f' ± {statistics.stdev(values):.2f}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.2f}{deviation}'
