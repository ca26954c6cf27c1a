"""Train pairs with several methods and seeds, and write tables (Markdown, CSV, LaTeX) and a picture.

A crashed run is reported and does not stop the others. Rerun the same command to do what is missing:
finished runs stay, interrupted ones are resumed.
"""

import argparse
import os
import queue
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import product
from pathlib import Path

from mmengine.config import DictAction
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hetkd.apis.cell import Cell, cell_name
from hetkd.apis.cli import Options, run_tool, tool_parser
from hetkd.apis.config import find_method, is_of_method
from hetkd.apis.results import SCRATCH, by_config, to_csv, to_latex, to_markdown
from hetkd.apis.slurm import CPUS, ArrayJob
from hetkd.errors import UserError
from hetkd.utils.whole_file import write_whole
from hetkd.visualization import Runs, comparison

TOOLS = Path(__file__).resolve().parent
SEED = 'randomness.seed'


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument('configs', nargs='+', help='config files')
    parser.add_argument(
        '--methods', nargs='+', metavar='NAME|FILE',
        help="methods to put on each config (see tools/train.py --method); default: the config's own",
    )  # fmt: skip
    parser.add_argument(
        '--sweep', nargs='+', type=sweep_of, default=[], metavar='KEY=1,2,4',
        help='settings to vary, a row for each combination; those of a method leave "scratch" as it is',
    )  # fmt: skip
    parser.add_argument('--seeds', type=int, default=3, help='runs of each config, with seeds 0, 1, ...')
    parser.add_argument('--work-dir', default='work_dirs/compare', help='folder of all runs and tables')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time, each on GPUs of its own')
    parser.add_argument('--slurm', metavar='PARTITION', help='run them as an array job, --jobs at a time')
    parser.add_argument('--slurm-hours', type=int, default=24, help='time limit of a job; longer runs resume')
    parser.add_argument(
        '--gpus', type=int, default=1,
        help='processes of each run (tools/dist_train.sh); 0: one process, and no GPU',
    )  # fmt: skip
    parser.add_argument('--metric', default='accuracy/top1', help='what the tables show')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        default={},
        help='override settings of all configs, as key=value; those of model.teacher where there is one',
    )
    args = parser.parse_args(argv)
    for name, least in dict(seeds=1, jobs=1, gpus=0, slurm_hours=1).items():
        if getattr(args, name) < least:
            parser.error(f'--{name.replace("_", "-")}: expected >= {least}, got {getattr(args, name)}')
    return args


def sweep_of(text):
    """Key and values of KEY=1,2,4."""
    key, separator, values = text.partition('=')
    if not (key and separator and values) or re.search(r'[][(){}]', values):
        raise argparse.ArgumentTypeError(f'expected KEY=1,2,4, got {text!r}')
    return key, [DictAction._parse_int_float_bool(x) for x in values.split(',')]


def sweeps(args, method):
    """The settings of each row of a method."""
    alone = method is not None and Path(method).stem == SCRATCH
    kept = [(key, values) for key, values in args.sweep if not (alone and is_of_method(key))]
    return [dict(zip([key for key, _ in kept], x)) for x in product(*(values for _, values in kept))]


def make_cells(args):
    """Every config with every method, setting and seed; refuses what would mix two runs before any is run."""
    if SEED in args.cfg_options or SEED in dict(args.sweep):
        raise UserError(
            SEED,
            'no seed among the settings',
            'one',
            f'--seeds N trains with seeds 0 to N-1; leave {SEED} out',
        )
    named = {}
    rows = [
        (config, method, sweep)
        for config, method in product(args.configs, args.methods or [None])
        for sweep in sweeps(args, method)
    ]
    for config, method, sweep in rows:
        name = cell_name(config, method, sweep)
        other = named.setdefault(name, (config, method, sweep))
        if other[1:] != (method, sweep) or Path(other[0]).resolve() != Path(config).resolve():
            raise UserError(
                'configs', 'names that differ', f'{name} twice: {other[0]}, {config}', 'rename one'
            )
    threads = CPUS if args.slurm else max(1, (os.cpu_count() or 1) // (args.jobs * max(1, args.gpus)))
    return [
        Cell(config, seed, args.work_dir, TOOLS, args.cfg_options, args.gpus, threads, method, sweep)
        for config, method, sweep in named.values()
        for seed in range(args.seeds)
    ]


def write_tables(cells, args):
    """The tables of what there is so far."""
    folder = Path(args.work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    results = [cell.result(args.metric) for cell in cells]
    texts = {
        'compare.md': to_markdown(results, args.metric),
        'compare.csv': to_csv(results),
        'compare.tex': to_latex(results, args.metric),
    }
    for name, text in texts.items():
        write_whole(folder / name, text)
    return results


def places(jobs, gpus):
    """``CUDA_VISIBLE_DEVICES`` of each run at a time; None where a run has the environment's."""
    if not gpus:
        return [''] * jobs
    import torch

    seen = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')
    seen = [x for x in seen if x] or [str(i) for i in range(torch.cuda.device_count())]
    if len(seen) < gpus:
        return [None] * jobs
    sets = [','.join(seen[i : i + gpus]) for i in range(0, len(seen) - gpus + 1, gpus)]
    return [sets[job % len(sets)] for job in range(jobs)]


def sentence(result, metric):
    """How a run has ended."""
    if result.last is not None:
        return f'{metric} {result.last:.2f} after {result.seconds:.0f} s'
    begin = 'crashed' if result.status == 'crashed' else 'not finished'
    return f'{begin} after {result.seconds:.0f} s: {result.reason}'


class Comparison:
    """Runs what is missing, and shows how far it is: a bar on a terminal, a line a run elsewhere."""

    def __init__(self, cells, args):
        self.cells, self.args = cells, args
        self.todo = [cell for cell in cells if not cell.is_settled]
        self.total = sum(cell.epochs for cell in cells)
        self.already, self.begin = self.behind(), time.time()
        self.stop, self.lock, self.finished = threading.Event(), threading.Lock(), 0
        self.array, self.places = None, queue.SimpleQueue()
        for place in places(args.jobs, args.gpus):
            self.places.put(place)
        self.console = Console(soft_wrap=True, highlight=False, markup=False)

    def behind(self):
        return sum(cell.epoch() for cell in self.cells)

    def run(self):
        """Train all; False if interrupted."""
        self.console.print(
            f'{len(self.cells)} runs, {len(self.todo)} to do; files go to {self.args.work_dir}'
        )
        jobs = self.args.jobs
        if self.args.slurm and self.todo:
            folder, jobs = Path(self.args.work_dir) / 'slurm', len(self.todo)
            limits = self.args.jobs, self.args.slurm_hours
            self.array = ArrayJob(self.todo, folder, self.args.slurm, *limits)
        columns = BarColumn(), TextColumn('{task.completed}/{task.total} epochs')
        progress = Progress(
            *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self.console,
            disable=not self.console.is_terminal,
        )  # fmt: skip
        with progress, ThreadPoolExecutor(jobs) as pool:
            task = progress.add_task('training', total=self.total, completed=self.already)
            futures = [pool.submit(self.run_cell, cell) for cell in self.todo]
            try:
                while wait(futures, timeout=1).not_done:
                    if not progress.disable:
                        progress.update(task, completed=self.behind())
            except KeyboardInterrupt:
                self.stop.set()
        for future in futures:
            future.result()
        return not self.stop.is_set()

    def run_cell(self, cell):
        if self.stop.is_set():
            return
        if self.array is not None:
            self.array.wait(cell, self.stop)
        else:
            place = self.places.get()
            cell.run(self.stop, place)
            self.places.put(place)
        with self.lock:
            self.finished += 1
            end = sentence(cell.result(self.args.metric), self.args.metric)
            count = f'[{self.finished}/{len(self.todo)}]'
            self.console.print(f'{count} {cell.name}, seed {cell.seed}: {end}{self.left()}')
            write_tables(self.cells, self.args)

    def left(self):
        done = self.behind() - self.already
        if self.finished == len(self.todo) or not done:
            return ''
        seconds = (time.time() - self.begin) / done * (self.total - self.already - done)
        return f'; about {seconds:.0f} s left'


def interrupt(*_):
    raise KeyboardInterrupt


def main(argv=None):
    args = parse_args(argv)
    signal.signal(signal.SIGTERM, interrupt)
    for method in args.methods or ():
        find_method(method)  # before anything is trained
    cells = make_cells(args)
    whole = Comparison(cells, args).run()
    results = write_tables(cells, args)
    groups = {
        name: Runs([x.last for x in runs if x.last is not None], [x.curve for x in runs])
        for name, runs in by_config(results).items()
    }
    comparison(Path(args.work_dir) / 'compare.png', groups, args.metric)
    print('\n' + to_markdown(results, args.metric))
    files = [str(Path(args.work_dir) / f'compare.{x}') for x in ('md', 'csv', 'tex', 'png')]
    print(f'written: {", ".join(files)}')
    crashed = sum(run.status == 'crashed' for run in results)
    if not whole:
        raise SystemExit('interrupted; rerun the same command to continue')
    if crashed:
        raise SystemExit(
            f'{crashed} of {len(results)} runs crashed; rerun the same command to try them again'
        )
    ended = sum(cell.state['status'] == 'missing' for cell in cells)
    if ended:
        raise SystemExit(
            f'{ended} of {len(results)} runs have not finished; rerun the same command to continue'
        )
    elsewhere = sum(cell.state['status'] == 'elsewhere' for cell in cells)
    if elsewhere:
        raise SystemExit(
            f'{elsewhere} of {len(results)} runs are trained by another comparison; rerun the same command '
            f'when it has ended'
        )


if __name__ == '__main__':
    run_tool(main)
