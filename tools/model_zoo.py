"""The model zoo: collect finished runs, regenerate page, chart and metafiles, check them, pack weights.

``docs/zoo/<method>/<pair>/seed<k>/`` (``teachers/<config>``; with the ``<key>=<value>`` of a sweep) holds
``results.json`` and log of a run, ``docs/zoo/reported.yml`` what papers report and public logs hold. Page,
chart and metafiles are derived from them; nothing there is typed by hand.
"""

import difflib
import itertools
import json
import math
import re
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

import yaml

from hetkd.apis.cli import add_out, run_tool, tool_parser
from hetkd.apis.gains import Gain, gain, gain_text
from hetkd.apis.results import SCRATCH, finished_runs, mean_and_spread, of_scratch, row_name
from hetkd.errors import UserError
from hetkd.utils.whole_file import write_whole

ROOT = Path(__file__).resolve().parent.parent
NAMES = dict(kd='KD', dkd='DKD', dist='DIST', fitnet='FitNet', cc='CC', rkd='RKD', crd='CRD', ofa='OFA')
NAMES |= dict(rld='RLD', rsd='RSD', cat='CAT', vkd='VkD')
NAMES |= {'rsd-logits': 'RSD on logits', 'lskd': 'Logit standardisation', 'hcd_detached': 'HCD, detached'}
NAMES |= {'ofa_imagenet': 'OFA, eps 1.5'}
NAMES |= dict(mldrkd='MLDR-KD', hcd='HCD', at='AT', scratch='labels only', teachers='labels only')
# By the name without its pixels.
DATA = {
    'aircraft': 'FGVC-Aircraft',
    'cifar100': 'CIFAR-100',
    'cifar100_50labels': 'CIFAR-100, 50 labels per class, the other images unlabelled',
    'cub': 'CUB-200-2011',
    'digits': 'Digits, 5 images per class',
    'digits_5labels': 'Digits, 5 labels per class, the other images unlabelled',
    'imagenet': 'ImageNet',
    'tiny-imagenet': 'Tiny-ImageNet',
}
SIZES = {'digits': 16, 'digits_5labels': 16}
# By the beginning of a student's name; the first that fits.
FAMILIES = {
    'MLP': ('mixer', 'resmlp'),
    'Mamba': ('vim', 'vmamba'),
    'Transformer': ('vit', 'deit', 'swin'),
    'CNN': ('cnn', 'res', 'mobilenet', 'convnext', 'effnet'),
}
OWN_FOLDERS = ('mldrkd', 'hcd', 'teachers')
PAGE = 'docs/en/model_zoo.md'
CHART = 'docs/en/_static/zoo/gain.svg'

MEASURED = ('Method', 'Last', 'Gain', 'Best', 'ECE', 'Seeds', 'Log')
PUBLISHED = ('Method', 'Ours, last', 'Ours, best', 'Published', 'Kind', 'Source')

# What the tables take from a run's record.
NEEDED = {'best', 'epochs', 'last', 'machine', 'seconds', 'settings'}


@dataclass(frozen=True)
class Cell:
    """All runs of one pair with one method, or of a teacher's training; one a seed."""

    method: str
    config: str
    records: dict[int, dict]
    """By seed."""
    changes: tuple[str, ...] = ()
    """``KEY=VALUE`` of each setting that a sweep has changed."""
    shared: tuple[str, ...] = ()
    """Those of them that all cells of its table have, the labels-only one too."""

    @property
    def names(self) -> list[str]:
        """Teacher (empty where a teacher itself is trained), student and data."""
        return (f'_{self.config}' if self.method == 'teachers' else self.config).split('_', 2)

    @property
    def data(self) -> str:
        """Name of the data."""
        return self.names[2]

    @property
    def data_name(self) -> str:
        """The data as papers call them."""
        return DATA.get(re.sub(r'_\d+px', '', self.data), self.data)

    @property
    def student(self) -> str:
        """Name of the student."""
        return self.names[1]

    @property
    def family(self) -> str:
        """Family of the student; empty of a net that is not known."""
        return next((family for family, names in FAMILIES.items() if self.student.startswith(names)), '')

    @property
    def teacher(self) -> str:
        """Name of the teacher; empty where the net was trained without one."""
        return '' if self.method == SCRATCH else self.names[0]

    @property
    def file(self) -> str:
        """The config: of the method's own folder, or one that takes ``--method``."""
        folder = self.method if self.method in OWN_FOLDERS else 'mldrkd'
        return f'configs/{folder}/{self.config}.py'

    @property
    def command(self) -> str:
        """The command that trains it."""
        method = '' if self.method in OWN_FOLDERS else f' --method {self.method}'
        changes = f' --cfg-options {" ".join(self.changes)}' if self.changes else ''
        return f'python tools/train.py {self.file}{method}{changes}'

    @property
    def image_size(self) -> int:
        """In pixels."""
        native = re.search(r'_(\d+)px', self.config)
        return int(native[1]) if native else SIZES.get(self.data, 224)

    def values(self, which: str) -> list[float]:
        """Top-1 of each run, of the ``'last'`` or ``'best'`` epoch."""
        return [record[which]['value'] for record in self.records.values()]

    @property
    def first(self) -> dict:
        """Record of the first seed."""
        return self.records[min(self.records)]

    @property
    def log(self) -> str:
        """Log of the first seed, from the checkout."""
        folder = '/'.join([self.method, self.config, *self.changes])
        return f'docs/zoo/{folder}/seed{min(self.records)}/scalars.json'

    @property
    def setting(self) -> tuple[str, int]:
        """What a table has in common: nets and data, epochs."""
        return self.config, self.first['epochs']

    @property
    def label(self) -> str:
        """The method's name, and what a sweep has changed; of a teacher, what taught it."""
        taught = self.method == 'teachers' and self.first.get('teachers')
        name = f'distilled from {taught[0]["net"]}' if taught else NAMES.get(self.method, self.method)
        return row_name(name, self.own)

    @property
    def own(self) -> tuple[str, ...]:
        """What a sweep has changed here and not in the whole table."""
        return tuple(x for x in self.changes if x not in self.shared)

    @property
    def link(self) -> str:
        """The method's name, linked to the config."""
        return f'[{self.label}](../../{self.file})'

    @property
    def title(self) -> str:
        """Teacher and student."""
        return ' → '.join(x for x in self.names[:2] if x)

    @property
    def mean(self) -> float:
        """Mean top-1 of the runs' last epochs."""
        return statistics.mean(self.values('last'))

    @property
    def devices(self) -> set[str]:
        """What the runs were trained on."""
        return {x['machine']['device'] or 'CPU' for x in self.records.values()}

    def metric(self, name: str) -> Optional[float]:
        """Mean over the runs of another metric at the last epoch, or None."""
        found = self.last(name)
        return statistics.mean(found) if len(found) == len(self.records) else None

    def last(self, name: str) -> list[float]:
        """A metric at the last epoch of each run that measured it."""
        found = [x['metrics'][str(x['last']['epoch'])].get(name) for x in self.records.values()]
        return [x for x in found if x is not None and not math.isnan(x)]

    @property
    def seeds(self) -> str:
        """How many, and of how many teachers if not of one."""
        teachers = {
            tuple(x.get('digest') for x in record.get('teachers', ())) for record in self.records.values()
        }
        return f'{len(self.records)}{f", {len(teachers)} teachers" if len(teachers) > 1 else ""}'

    def gain(self, other: 'Cell') -> Optional[Gain]:
        """Of the last epoch over another cell, by seed."""
        mine, others = (
            {seed: x['last']['value'] for seed, x in cell.records.items()} for cell in (self, other)
        )
        return gain(mine, others)


@dataclass(frozen=True)
class Table:
    """Cells of one pair with the same epochs, and their gains over the student on labels only."""

    cells: list[Cell]
    gains: dict[str, Gain]
    """By the cell's label, of those that have one."""

    @property
    def charted(self) -> list[Cell]:
        """What the chart shows: settings of a sweep have rows only."""
        return [x for x in self.cells if x.label in self.gains and not x.own]

    @property
    def title(self) -> str:
        """Of its panel in the chart."""
        cell = self.cells[0]
        family = f'{cell.family} student: ' if cell.family else ''
        seeds = sorted({len(x.records) for x in self.charted})
        length = f'epochs: {cell.first["epochs"]}, seeds: {" or ".join(map(str, seeds))}'
        return f'{family}{cell.title}\n{cell.data_name}, {cell.image_size} px; {length}'

    @property
    def verdict(self) -> str:
        """Who wins, in words; empty where there is nothing to compare."""
        kinds = {
            'Better than labels only': [
                x for x in self.gains if self.gains[x].counts and self.gains[x].mean > 0
            ],
            'Within noise of labels only': [x for x in self.gains if self.gains[x].counts is False],
            'Worse than labels only': [
                x for x in self.gains if self.gains[x].counts and self.gains[x].mean < 0
            ],
            'One seed, so not judged': [x for x in self.gains if self.gains[x].counts is None],
        }
        # A label may hold commas.
        return ' '.join(f'{kind}: {"; ".join(names)}.' for kind, names in kinds.items() if names)


def collect(work_dir, root) -> list[Path]:
    """Copy record and log of each finished run of a comparison's folder into the zoo.

    Args:
        work_dir: folder of ``tools/compare.py``.
        root: the checkout.

    Raises:
        UserError: no finished run there, or a damaged record.
    """
    copied = []
    for folder, record in finished_runs(work_dir).items():
        missing = sorted(NEEDED - record.keys())
        if missing:
            path = folder / 'results.json'
            raise UserError(path, f'the record of a run with {missing}', 'one without', 'train the run again')
        target = Path(root) / 'docs/zoo' / folder.relative_to(work_dir)
        target.mkdir(parents=True, exist_ok=True)
        (target / 'results.json').write_text(json.dumps(_without_places(record), indent=1) + '\n')
        logs = sorted(folder.glob('*/vis_data/scalars.json'))
        (target / 'scalars.json').write_text(''.join(x.read_text() for x in logs))
        copied.append(target)
    if not copied:
        raise UserError(work_dir, 'finished runs of tools/compare.py', 'none')
    return copied


def _without_places(record: dict) -> dict:
    """What says nothing outside of the machine is left out."""
    machine = {key: value for key, value in record.get('machine', {}).items() if key != 'system'}
    return {**record, 'machine': machine}


# What the runs of a row have in common.
ALIKE = {
    'epochs': lambda x: x['epochs'],
    'images a step': lambda x: x['settings']['batch_size'] * x['settings']['processes'],
    'training data': lambda x: x.get('data', {}).get('digest'),
}


def read_cells(root) -> list[Cell]:
    """All cells of the zoo.

    Raises:
        UserError: the seeds of a row are of different settings.
    """
    zoo, found = Path(root) / 'docs/zoo', {}
    for folder, record in finished_runs(zoo).items():
        *row, seed = folder.relative_to(zoo).parts
        found.setdefault(tuple(row), {})[int(seed.removeprefix('seed'))] = record
    for row, records in found.items():
        for name, read in ALIKE.items():
            if len({read(x) for x in records.values()}) > 1:
                raise UserError(
                    f'docs/zoo/{"/".join(row)}',
                    f'seeds with the same {name}',
                    {f'seed{seed}': read(x) for seed, x in records.items()},
                    'delete those of the other setting',
                )
    return [
        Cell(method, config, records, tuple(changes))
        for (method, config, *changes), records in sorted(found.items())
    ]


def derive(root) -> dict[str, str]:
    """Content of the zoo's page, its chart and each metafile, by path from the checkout."""
    from hetkd.visualization import Bar, gain_chart

    root = Path(root)
    cells = read_cells(root)
    tables = _tables(cells)

    def bar(found: Gain) -> Bar:
        return Bar(found.mean, found.spread, found.counts)

    panels = {
        x.title: {cell.label: bar(x.gains[cell.label]) for cell in x.charted} for x in tables if x.charted
    }
    files = {PAGE: _page(root, cells, tables), CHART: gain_chart(panels)}
    for path in sorted((root / 'configs').rglob('metafile.yml')):
        known = [x['Name'] for x in yaml.safe_load(path.read_text())['Collections']]
        mine = [x for x in cells if _collection(x) in known]
        models = yaml.safe_dump(
            {'Models': [_model(x) for x in mine]}, sort_keys=False, width=100, allow_unicode=True
        )
        head = path.read_text().split('\nModels:')[0].rstrip('\n')
        files[path.relative_to(root).as_posix()] = f'{head}\n{models}'
    return files


def _collection(cell: Cell) -> str:
    """Of its method; a variant such as hcd_detached is in that of hcd."""
    method = cell.method.split('_')[0]
    return dict(scratch='Scratch', teachers='Teachers').get(method) or NAMES.get(method, method)


def _model(cell: Cell) -> dict:
    settings = cell.first
    return {
        'Name': '_'.join([cell.method, cell.config, *cell.changes]),
        'In Collection': _collection(cell),
        'Config': cell.file,
        'Metadata': {
            'Epochs': settings['epochs'],
            'Batch Size': settings['settings']['batch_size'] * settings['settings']['processes'],
            'Seeds': len(cell.records),
            'Training Resources': ', '.join(sorted(cell.devices)),
            'Command': cell.command,
        },
        'Results': [
            {
                'Task': 'Image Classification',
                'Dataset': cell.data_name,
                'Metrics': {'Top 1 Accuracy': round(cell.mean, 2)},
            }
        ],
        'Training Log': cell.log,
    }


HEAD = f"""\
# Model zoo

<!-- Written by `python tools/model_zoo.py write`; its command `check` compares. -->

![Gain over labels only, by student and method]({CHART.removeprefix('docs/en/')})

Top-1 in per cent, mean ± standard deviation over seeds. *Last* is the last epoch. *Best* is the epoch that is
best on the test set, so it says less. *Gain* is over the same student trained on labels only: the mean of the
differences seed by seed, last epochs. *ECE* is the calibration error in per cent.

A difference counts only where it exceeds the spread of the seeds, p < 0.05 in a paired t-test; any other is
*within noise*, and two seeds hardly decide. `tools/compare.py` judges in the same way. A method within noise
is neither better nor worse: more seeds may decide.

Each row is derived from the `results.json` of its runs in `docs/zoo`. A method's name links to its config;
`python tools/train.py CONFIG --method NAME` trains one row. Weights are not in git:
`python tools/model_zoo.py pack WORK_DIR --out FOLDER` makes release assets of the students, their configs and
their teachers from a folder of runs.
"""

PUBLISHED_HEAD = """
## Published

Not our results. *Reported* values are those of papers. *Logged* values are the last epochs of independent
training logs in public. [Why numbers differ](reproduce.md#why-numbers-differ) says what to compare and what
not. Empty cells wait for our own runs, on GPUs: run the command of a table, then
`python tools/model_zoo.py collect work_dirs/zoo`.
"""


def _page(root: Path, cells: list[Cell], tables: list[Table]) -> str:
    published = yaml.safe_load((root / 'docs/zoo/reported.yml').read_text())
    parts = [HEAD, '\n## Measured\n']
    for data, mine in itertools.groupby(tables, key=lambda x: x.cells[0].data):
        parts.append(_measured(root, data, list(mine)))
    parts.append(_published(root, published, cells))
    return ''.join(parts)


def _tables(cells: list[Cell]) -> list[Table]:
    """Ordered by data, size of the images and student."""
    scratch = {_alone(x): x for x in cells if x.method == SCRATCH}
    cells = sorted(cells, key=lambda x: (x.data, x.family, x.student, x.setting, x.method != SCRATCH, x.mean))
    tables = []
    for _, group in itertools.groupby(cells, key=lambda x: x.setting):
        group = _with_shared(list(group))
        others = {x.label: scratch.get(_alone(x)) for x in group if x.teacher}
        gains = {x.label: x.gain(others[x.label]) for x in group if others.get(x.label)}
        tables.append(Table(group, {label: found for label, found in gains.items() if found}))
    return tables


def _with_shared(cells: list[Cell]) -> list[Cell]:
    """The cells of a table, told what they all have changed."""
    shared = [x for x in of_scratch(cells[0].changes) if all(x in cell.changes for cell in cells)]
    return [replace(x, shared=tuple(shared)) for x in cells]


def _alone(cell: Cell) -> tuple:
    """What a cell has in common with its student trained on labels only."""
    return cell.student, cell.data, cell.first['epochs'], of_scratch(cell.changes)


def _measured(root: Path, data: str, tables: list[Table]) -> str:
    first = tables[0].cells[0]
    lines = [f'\n### {first.data_name}, {first.image_size} px']
    note = root / f'docs/zoo/{data}.md'
    if note.exists():
        lines += ['', note.read_text().rstrip()]
    for table in tables:
        lines += ['', _facts(table), '', _header(MEASURED)]
        lines += [_measured_row(x, table.gains.get(x.label)) for x in table.cells]
        if table.verdict:
            lines += ['', table.verdict]
    return '\n'.join(lines) + '\n'


def _facts(table: Table) -> str:
    first = table.cells[0]
    teachers = {_number(value) for x in table.cells for value in x.last('teacher/top1')}
    hours = sum(x['seconds'] for cell in table.cells for x in cell.records.values()) / 3600
    facts = [f'**{first.title}**', first.family and f'student: {first.family}']
    facts += [teachers and f'teacher: {" or ".join(sorted(teachers))} %', f'epochs: {first.first["epochs"]}']
    facts += [first.shared and f'all rows with `{" ".join(first.shared)}`']
    devices = ', '.join(sorted(set().union(*(x.devices for x in table.cells))))
    facts += [f'all runs: {hours:.1f} h', f'device: {devices}']
    return '; '.join(filter(None, facts)) + '.'


def _measured_row(cell: Cell, found: Optional[Gain]) -> str:
    row = (
        cell.link,
        mean_and_spread(cell.values('last')),
        gain_text(found),
        mean_and_spread(cell.values('best')),
        _number(cell.metric('calibration/ece'), 1),
        cell.seeds,
        f'[log](../{cell.log.removeprefix("docs/")})',
    )
    return '| ' + ' | '.join(row) + ' |'


def _published(root: Path, published: dict, cells: list[Cell]) -> str:
    ran = {(x.method, x.config): x for x in cells if not x.changes}
    sources = {name: (i, x) for i, (name, x) in enumerate(published['sources'].items(), 1)}
    parts, data = [PUBLISHED_HEAD], None
    values = sorted(published['values'], key=lambda x: (x['config'].split('_', 2)[2], x['config'], x['top1']))
    for config, group in itertools.groupby(values, key=lambda x: x['config']):
        pair, rows = Cell('mldrkd', config, {}), list(group)
        if pair.data != data:
            data = pair.data
            parts.append(f'\n### {pair.data_name}, {pair.image_size} px\n')
        has_config = (root / pair.file).exists()
        parts.append(_published_facts(pair, rows, has_config))
        for value in rows:
            cell = Cell(value['method'], config, {})
            name = cell.link if has_config else cell.label
            parts.append(
                _published_row(name, ran.get((cell.method, config)), value, *sources[value['source']])
            )
    notes = [f'{i}. [{x["text"]}]({x["url"]})\n' for i, x in sources.values()]
    return ''.join([*parts, '\n', *notes])


def _published_facts(pair: Cell, rows: list[dict], has_config: bool) -> str:
    """Nets, what papers report of them, the command that fills our cells, and the table's head."""
    facts = [f'**{pair.title}**']
    for key, words in (('teacher', 'teacher'), ('scratch', 'labels only')):
        facts += [f'{words}: {value:.2f}, reported' for value in sorted({x[key] for x in rows if key in x})]
    methods = ' '.join(dict.fromkeys([SCRATCH, *(x['method'] for x in rows)]))
    command = (
        f'```bash\npython tools/compare.py {pair.file} \\\n'
        f'    --methods {methods} --work-dir work_dirs/zoo\n```\n\n'
    )
    return f'\n{"; ".join(facts)}.\n\n{command if has_config else ""}{_header(PUBLISHED)}\n'


def _published_row(name: str, cell: Optional[Cell], value: dict, number: int, source: dict) -> str:
    row = (
        name,
        '' if cell is None else mean_and_spread(cell.values('last')),
        '' if cell is None else mean_and_spread(cell.values('best')),
        f'{value["top1"]:.2f}',
        'logged' if source['confidence'] == 'log' else 'reported',
        str(number),
    )
    return '| ' + ' | '.join(row) + ' |\n'


def _header(columns) -> str:
    return f'| {" | ".join(columns)} |\n' + '|---' * len(columns) + '|'


def _number(value: Optional[float], digits: int = 2) -> str:
    return '' if value is None else f'{value:.{digits}f}'


def check(root) -> int:
    """Number of files that differ from what is derived; prints the differences."""
    wrong = 0
    for name, expected in derive(root).items():
        path = Path(root) / name
        found = path.read_text() if path.exists() else ''
        if found != expected:
            wrong += 1
            lines = found.splitlines(), expected.splitlines()
            print(*difflib.unified_diff(*lines, name, 'derived from docs/zoo', lineterm='', n=0), sep='\n')
    return wrong


def main(argv=None):
    parser = tool_parser(__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    take = commands.add_parser('collect', help='copy records and logs of a comparison into docs/zoo; write')
    take.add_argument('work_dir', help='folder of tools/compare.py')
    commands.add_parser('write', help='write docs/en/model_zoo.md, its chart and the metafiles')
    commands.add_parser('check', help='fail where one of them differs from the results of the runs')
    assets = commands.add_parser('pack', help='make release assets: weights, configs, teachers, SHA256SUMS')
    assets.add_argument('work_dir', help='folder of tools/compare.py')
    add_out(assets, text='folder to write, new or empty')
    args = parser.parse_args(argv)
    if args.command == 'check':
        if wrong := check(ROOT):
            sys.exit(f'{wrong} file(s) differ from the results; run `python tools/model_zoo.py write`')
        return print('page, chart and metafiles agree with the results')
    if args.command == 'pack':
        from hetkd.apis.release_assets import pack

        return print(*pack(args.work_dir, args.out), sep='\n')
    if args.command == 'collect':
        for path in collect(args.work_dir, ROOT):
            print(path.relative_to(ROOT))
    for name, text in derive(ROOT).items():
        write_whole(ROOT / name, text)


if __name__ == '__main__':
    run_tool(main)
