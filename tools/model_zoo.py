"""The model zoo: collect finished runs, regenerate page and metafiles, and check them.

``docs/zoo/<method>/<pair>/seed<k>/`` (``teachers/<config>``) holds ``results.json`` and the log of a run,
``docs/zoo/reported.yml`` what papers report. Page and metafiles are derived from them; nothing there is typed
by hand.
"""

import difflib
import itertools
import json
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import yaml

from hetkd.apis.cli import run_tool, tool_parser
from hetkd.apis.results import mean_and_spread, read_record
from hetkd.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
NAMES = dict(kd='KD', dkd='DKD', dist='DIST', fitnet='FitNet', cc='CC', rkd='RKD', crd='CRD', ofa='OFA')
NAMES |= dict(rld='RLD', rsd='RSD', cat='CAT', vkd='VkD')
NAMES |= {'rsd-logits': 'RSD on logits', 'lskd': 'Logit standardisation'}
NAMES |= dict(mldrkd='MLDR-KD', hcd='HCD', at='AT', scratch='labels only', teachers='labels only')
DATA = {
    'cifar100': 'CIFAR-100',
    'cifar100_32px': 'CIFAR-100',
    'cifar100_10pct_32px': 'CIFAR-100, 10 % of the images',
    'digits': 'Digits, 5 images per class',
    'digits_5labels': 'Digits, 5 labels per class, the other images unlabelled',
}
SIZES = {'digits': 16, 'digits_5labels': 16}
OWN_FOLDERS = ('mldrkd', 'hcd', 'teachers')
PAGE = 'docs/en/model_zoo.md'

MEASURED = ('Teacher → student', 'Method', 'Last', 'Best', 'Gain', 'Teacher', 'ECE', 'Log')
REPORTED = ('Teacher → student', 'Method', 'Ours, last', 'Ours, best', 'Reported', 'Teacher', 'Labels only')
REPORTED += ('Source',)

# What the tables take from a run's record.
NEEDED = {'best', 'epochs', 'last', 'settings'}


@dataclass(frozen=True)
class Cell:
    """All runs of one pair with one method, or of a teacher's training; one a seed."""

    method: str
    config: str
    records: tuple[dict, ...]

    @property
    def names(self) -> list[str]:
        """Teacher (empty where a teacher itself is trained), student and data."""
        return (f'_{self.config}' if self.method == 'teachers' else self.config).split('_', 2)

    @property
    def data(self) -> str:
        """Name of the data."""
        return self.names[2]

    @property
    def student(self) -> str:
        """Name of the student."""
        return self.names[1]

    @property
    def teacher(self) -> str:
        """Name of the teacher; empty where the net was trained without one."""
        return '' if self.method == 'scratch' else self.names[0]

    @property
    def file(self) -> str:
        """The config: of the method's own folder, or one that takes ``--method``."""
        folder = self.method if self.method in OWN_FOLDERS else 'mldrkd'
        return f'configs/{folder}/{self.config}.py'

    @property
    def command(self) -> str:
        """The command that trains it."""
        method = '' if self.method in OWN_FOLDERS else f' --method {self.method}'
        return f'python tools/train.py {self.file}{method}'

    @property
    def image_size(self) -> int:
        """In pixels."""
        native = re.search(r'_(\d+)px', self.config)
        return int(native[1]) if native else SIZES.get(self.data, 224)

    def values(self, which: str) -> list[float]:
        """Top-1 of each run, of the ``'last'`` or ``'best'`` epoch."""
        return [record[which]['value'] for record in self.records]

    @property
    def setting(self) -> tuple[int, int, int]:
        """Image size, epochs, seeds."""
        return self.image_size, self.records[0]['epochs'], len(self.records)

    @property
    def link(self) -> str:
        """The method's name, linked to the config."""
        return f'[{NAMES.get(self.method, self.method)}](../../{self.file})'

    @property
    def mean(self) -> float:
        """Mean top-1 of the runs' last epochs."""
        return statistics.mean(self.values('last'))

    def metric(self, name: str) -> Optional[float]:
        """Mean over the runs of another metric at the last epoch, or None."""
        found = [record['metrics'][str(record['last']['epoch'])].get(name) for record in self.records]
        return None if None in found else statistics.mean(found)


def collect(work_dir, root) -> list[Path]:
    """Copy record and log of each finished run of a comparison's folder into the zoo.

    Args:
        work_dir: folder of ``tools/compare.py``.
        root: the checkout.

    Raises:
        UserError: no finished run there, or a damaged record.
    """
    copied = []
    for path in sorted(Path(work_dir).glob('*/*/seed*/results.json')):
        record = read_record(path.parent)
        if not record.get('finished'):
            continue
        missing = sorted(NEEDED - record.keys())
        if missing:
            raise UserError(path, f'the record of a run with {missing}', 'one without', 'train the run again')
        target = Path(root) / 'docs/zoo' / path.parent.relative_to(work_dir)
        target.mkdir(parents=True, exist_ok=True)
        (target / 'results.json').write_text(json.dumps(_without_places(record), indent=1) + '\n')
        logs = sorted(path.parent.glob('*/vis_data/scalars.json'))
        (target / 'scalars.json').write_text(''.join(x.read_text() for x in logs))
        copied.append(target)
    if not copied:
        raise UserError(work_dir, 'finished runs of tools/compare.py', 'none')
    return copied


def _without_places(record: dict) -> dict:
    """What says nothing outside of the machine is left out."""
    machine = {key: value for key, value in record.get('machine', {}).items() if key != 'system'}
    return {**record, 'machine': machine}


def read_cells(root) -> list[Cell]:
    """All cells of the zoo."""
    cells = []
    for folder in sorted((Path(root) / 'docs/zoo').glob('*/*/')):
        records = tuple(read_record(x) for x in sorted(folder.glob('seed*')))
        if records:
            cells.append(Cell(folder.parent.name, folder.name, records))
    return cells


def derive(root) -> dict[str, str]:
    """Content of the zoo's page and of each metafile, by path from the checkout."""
    root = Path(root)
    cells = read_cells(root)
    files = {PAGE: _page(root, cells)}
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
    return dict(scratch='Scratch', teachers='Teachers').get(cell.method, NAMES.get(cell.method, ''))


def _model(cell: Cell) -> dict:
    settings = cell.records[0]
    return {
        'Name': f'{cell.method}_{cell.config}',
        'In Collection': _collection(cell),
        'Config': cell.file,
        'Metadata': {
            'Epochs': settings['epochs'],
            'Batch Size': settings['settings']['batch_size'] * settings['settings']['processes'],
            'Seeds': len(cell.records),
            'Command': cell.command,
        },
        'Results': [
            {
                'Task': 'Image Classification',
                'Dataset': DATA.get(cell.data, cell.data),
                'Metrics': {'Top 1 Accuracy': round(cell.mean, 2)},
            }
        ],
        'Training Log': f'docs/zoo/{cell.method}/{cell.config}/seed0/scalars.json',
    }


HEAD = """\
# Model zoo

<!-- Written by `python tools/model_zoo.py write`; its command `check` compares. -->

Top-1 in per cent, mean ± standard deviation over seeds. *Last* is the last epoch. *Best* is the epoch that is
best on the test set, so it says less. *Gain* is over the student trained on labels only, last epochs.
*Teacher* is the teacher's accuracy, as the same runs measured it. *ECE* is the calibration error in per cent.
Each row is derived from the `results.json` of its runs in `docs/zoo`. Weights are not kept: the commands
above a table make them. A method's name links to its config; `python tools/train.py CONFIG --method NAME`
trains one row.
"""


def _page(root: Path, cells: list[Cell]) -> str:
    reported = yaml.safe_load((root / 'docs/zoo/reported.yml').read_text())
    parts = [HEAD, '\n## Measured\n']
    for data in sorted({x.data for x in cells}):
        mine = [x for x in cells if x.data == data]
        parts.append(_measured(root, data, mine))
    parts.append(_reported(reported, cells))
    return ''.join(parts)


def _measured(root: Path, data: str, cells: list[Cell]) -> str:
    note = root / f'docs/zoo/{data}.md'
    lines = [f'\n### {DATA.get(data, data)}']
    if note.exists():
        lines += ['', note.read_text().rstrip()]
    cells = sorted(cells, key=lambda x: (x.setting, x.student, x.teacher != '', x.teacher, x.mean))
    scratch = {(x.student, *x.setting[:2]): x for x in cells if x.method == 'scratch'}
    for (size, epochs, seeds), group in itertools.groupby(cells, key=lambda x: x.setting):
        lines += ['', f'At {size} px; epochs: {epochs}, seeds: {seeds}.', '', _header(MEASURED)]
        lines += [_measured_row(x, scratch.get((x.student, size, epochs))) for x in group]
    return '\n'.join(lines) + '\n'


def _measured_row(cell: Cell, scratch: Optional[Cell]) -> str:
    gain = '' if scratch is None or scratch is cell else f'{cell.mean - scratch.mean:+.2f}'
    row = (
        f'{cell.teacher} → {cell.student}' if cell.teacher else cell.student,
        cell.link,
        mean_and_spread(cell.values('last')),
        mean_and_spread(cell.values('best')),
        gain,
        _number(cell.metric('teacher/top1')),
        _number(cell.metric('calibration/ece'), 1),
        f'[log](../zoo/{cell.method}/{cell.config}/seed0/scalars.json)',
    )
    return '| ' + ' | '.join(row) + ' |'


def _reported(reported: dict, cells: list[Cell]) -> str:
    ran = {(x.method, x.config): x for x in cells}
    lines = [
        '\n## Reported by papers, CIFAR-100 at 224 px\n',
        'Not our results. Empty cells wait for runs of 300 epochs on GPUs.\n',
        _header(REPORTED),
    ]
    sources = list(reported['sources'])
    for value in sorted(reported['values'], key=lambda x: (x['config'], x['top1'])):
        cell = ran.get((value['method'], value['config']))
        teacher, student, *_ = value['config'].split('_')
        row = [
            f'{teacher} → {student}',
            Cell(value['method'], value['config'], ()).link,
            '' if cell is None else mean_and_spread(cell.values('last')),
            '' if cell is None else mean_and_spread(cell.values('best')),
            f'{value["top1"]:.2f}',
            _number(value.get('teacher')),
            _number(value.get('scratch')),
            f'{sources.index(value["source"]) + 1}',
        ]
        lines.append('| ' + ' | '.join(row) + ' |')
    lines.append('')
    for i, source in enumerate(reported['sources'].values(), 1):
        lines.append(f'{i}. [{source["text"]}]({source["url"]})')
    return '\n'.join(lines) + '\n'


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
    commands.add_parser('write', help='write docs/en/model_zoo.md and the metafiles')
    commands.add_parser('check', help='fail where one of them differs from the results of the runs')
    args = parser.parse_args(argv)
    if args.command == 'check':
        if wrong := check(ROOT):
            sys.exit(f'{wrong} file(s) differ from the results; run `python tools/model_zoo.py write`')
        return print('page and metafiles agree with the results')
    if args.command == 'collect':
        for path in collect(args.work_dir, ROOT):
            print(path.relative_to(ROOT))
    for name, text in derive(ROOT).items():
        (ROOT / name).write_text(text)


if __name__ == '__main__':
    run_tool(main)
