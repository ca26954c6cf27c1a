"""One run of a comparison: a subprocess of tools/train.py and its state on disk."""

import fcntl
import hashlib
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import Optional

from hetkd.errors import UserError
from hetkd.utils.whole_file import write_whole

from .config import load_config
from .results import RunResult, curve_of, is_falling, read_epoch, read_record

POLL = 0.2
SAVE_EVERY = 10.0

# The teacher's value of a metric of the student.
TEACHERS = {'accuracy/top1': 'teacher/top1'}


class Cell:
    """One config with one method and one seed, trained by ``tools/train.py`` in a folder of its own.

    Its state is ``cell.json`` there, its output ``output.log``. A config that cannot be read counts as a
    crashed run.

    Args:
        config: config file.
        seed: random seed.
        work_dir: folder of the whole comparison.
        tools: folder of ``train.py`` and ``dist_train.sh``.
        options: overrides; those of ``model.teacher`` are left out where the model has none.
        gpus: processes of the run, each on a GPU where there is one; 0 is one process that uses none.
        threads: CPU threads of each process.
        method: put on the config as by ``--method``; default: the config's own.
        sweep: further overrides, which are part of its name.

    Raises:
        UserError: the folder holds a run of other settings.
    """

    def __init__(
        self,
        config,
        seed: int,
        work_dir,
        tools,
        options: Optional[dict] = None,
        gpus: int = 1,
        threads: int = 1,
        method: Optional[str] = None,
        sweep: Optional[dict] = None,
    ):
        self.config, self.seed, self.tools, self.gpus, self.threads = str(config), seed, tools, gpus, threads
        self.method, self.name, self.devices = method, cell_name(config, method, sweep), None
        self.folder = Path(work_dir) / self.name / f'seed{seed}'
        self.state = {'status': 'missing', 'seconds': 0.0, 'memory': None, 'reason': ''}
        self.epochs, self.digest, self.options = 1, None, {}
        try:
            self._read({**(options or {}), **(sweep or {})})
        except Exception as error:
            self.state |= {'status': 'crashed', 'reason': _line(f'{type(error).__name__}: {error}')}
            return
        self.reload()

    def _read(self, options: dict) -> None:
        others = {key: x for key, x in options.items() if not key.startswith('model.teacher')}
        if 'teacher' not in load_config(self.config, others, self.method).get('model', {}):
            options = others
        cfg = load_config(self.config, options, self.method)
        if cfg.train_cfg.get('max_epochs') is None:
            raise UserError(
                'train_cfg',
                'max_epochs',
                'none',
                'a comparison counts epochs, so write a run of iterations as one of epochs, or train it '
                'by tools/train.py',
            )
        content = json.dumps([cfg.to_dict(), self.gpus], sort_keys=True, default=str)
        self.options, self.epochs = options, cfg.train_cfg.max_epochs
        self.digest = hashlib.sha256(content.encode()).hexdigest()

    def reload(self) -> None:
        """Read the state that another process has left."""
        path = self.folder / 'cell.json'
        if not path.exists():
            return
        try:
            state = json.loads(path.read_text())
            self.state |= {key: state[key] for key in (*self.state, 'digest')}
        except (ValueError, TypeError, KeyError) as error:
            damaged = UserError(
                'cell.json', 'the state of a run', f'a damaged file ({error!r})', f'delete {self.folder}'
            )
            self.state |= {'status': 'crashed', 'reason': _line(str(damaged))}
            self.digest = None
            return
        if self.state['digest'] != self.digest:
            raise UserError(
                self.folder,
                f'a run of {self.name} as it is now',
                'one of other settings',
                'choose another --work-dir, or delete this folder to run it again',
            )

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to do: finished, or impossible to start."""
        return self.state['status'] == 'done' or self.digest is None

    def epoch(self) -> int:
        """Epochs that have begun."""
        if self.state['status'] == 'done':
            return self.epochs
        return min(self.epochs, read_epoch(self.folder))

    def run(self, stop: Event, devices: Optional[str] = None) -> None:
        """Train, from the latest checkpoint on if there is one, until the end, a crash or ``stop``.

        Args:
            stop: set to interrupt it.
            devices: value of ``CUDA_VISIBLE_DEVICES``; default: the environment's; of a run without GPUs ''.
        """
        self.devices = devices if self.gpus else ''
        try:
            self._run(stop)
        except (OSError, ValueError) as error:  # the disk is full, a file is in the way or damaged
            self.state |= {'status': 'crashed', 'reason': _line(f'{type(error).__name__}: {error}')}

    def _run(self, stop: Event) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / 'output.log', 'a') as log:
            try:
                # The training process inherits the lock with its output, and outlives us if we are killed.
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.state |= {'status': 'elsewhere', 'reason': 'another comparison is training it'}
                return
            self.reload()
            if self.is_settled:  # by another comparison, since we looked
                return
            self._save(status='running', digest=self.digest, reason='')
            begin = log.tell()
            code, peak = self._watch(log, stop)
        if stop.is_set():
            self._save(status='missing', reason='interrupted')
        elif code:
            self._save(status='crashed', reason=self._reason(code, begin))
        else:
            memory = read_record(self.folder).get('peak_memory_mib', round(peak / 1024))
            self._save(status='done', memory=memory)

    def _watch(self, log, stop: Event) -> tuple[int, int]:
        """Exit status and peak memory (KiB) of the training process."""
        begin = saved = time.time()
        before, asked = self.state['seconds'], False
        process = subprocess.Popen(
            self._command(), stdout=log, stderr=subprocess.STDOUT, env=self._env(), start_new_session=True
        )
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                self._save(seconds=before + time.time() - begin)
                return process.returncode, usage.ru_maxrss
            if stop.is_set() and not asked:  # once: torchrun takes a second one for an error of its own
                os.killpg(process.pid, signal.SIGTERM)
                asked = True
            if time.time() - saved > SAVE_EVERY:  # a killed comparison still knows its time
                saved = time.time()
                self._save(seconds=before + saved - begin)
            time.sleep(POLL)

    def _command(self) -> list[str]:
        options = {**self.options, 'randomness.seed': self.seed}
        rest = [] if self.method is None else ['--method', self.method]
        rest += ['--work-dir', str(self.folder), '--resume', 'auto', '--cfg-options']
        rest += [f'{key}={_text(value)}' for key, value in options.items()]
        if self.gpus > 1:
            return ['bash', str(self.tools / 'dist_train.sh'), self.config, str(self.gpus), *rest]
        return [sys.executable, str(self.tools / 'train.py'), self.config, *rest]

    def _env(self) -> dict[str, str]:
        paths = [str(self.tools.parent), os.environ.get('PYTHONPATH', '')]
        own = {'PYTHON': sys.executable, 'PYTHONPATH': os.pathsep.join(filter(None, paths))}
        if self.devices is not None:
            own['CUDA_VISIBLE_DEVICES'] = self.devices
        if self.gpus > 1:
            own['PORT'] = str(_free_port())  # each run its own, also where the environment names one
        return {'OMP_NUM_THREADS': str(self.threads), **os.environ, **own}

    def _reason(self, code: int, begin: int) -> str:
        """The line of this attempt's output that names the error."""
        with open(self.folder / 'output.log', errors='replace') as file:
            file.seek(begin)
            lines = [re.sub(r'^\[rank\d+\]: ', '', line.rstrip()) for line in file]
        errors = [
            x.removeprefix('train.py: error: ')
            for x in lines
            if re.match(r'train.py: error: |[\w.]*(Error|Exception)\b', x) and 'ChildFailedError' not in x
        ]
        return _line(errors[-1] if errors else f'exit status {code}; see {self.folder / "output.log"}')

    def _save(self, **state) -> None:
        self.state |= state
        write_whole(self.folder / 'cell.json', json.dumps(self.state))

    def result(self, metric: str = 'accuracy/top1') -> RunResult:
        """What the tables show of it."""
        shown = {key: self.state[key] for key in ('seconds', 'memory', 'reason')}
        status = self.state['status'] if self.state['status'] in ('done', 'crashed') else 'missing'
        try:
            record = read_record(self.folder)
        except UserError as error:
            return RunResult(self.name, self.seed, 'crashed', **(shown | {'reason': _line(str(error))}))
        curve, taught = (curve_of(record, x) for x in (metric, TEACHERS.get(metric)))
        if status == 'done' and not curve:
            status, shown['reason'] = 'crashed', f'no {metric!r} in its results; {_metrics(record)}'
        teacher = taught[max(taught)] if taught else None
        return RunResult(
            self.name, self.seed, status, curve, **shown,
            teacher=None if teacher is None or math.isnan(teacher) else teacher,  # a cache of other images
            taught_by=tuple(x.get('digest', '') for x in record.get('teachers', ())),
            falls=is_falling(metric),
        )  # fmt: skip


def cell_name(config, method: Optional[str] = None, sweep: Optional[dict] = None) -> str:
    """``METHOD/NAME`` of a config, or of ``FOLDER/NAME.py`` with its own method; then each ``KEY=VALUE``."""
    path = Path(config)
    settings = (re.sub(r'[^\w.=+-]+', '-', f'{key}={_text(value)}') for key, value in (sweep or {}).items())
    return '/'.join([Path(method).stem if method else path.resolve().parent.name, path.stem, *settings])


def _metrics(record: dict) -> str:
    found = {key for values in record.get('metrics', {}).values() for key in values}
    return f'--metric may be one of {sorted(found)}' if found else 'it was not evaluated'


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def _line(text: str) -> str:
    return ' '.join(text.split())[:200]


def _text(value) -> str:
    """A value as mmengine's ``DictAction`` reads it back."""
    begin, end = {list: '[]', tuple: '()'}.get(type(value), ('', ''))
    return f'{begin}{",".join(map(_text, value))}{end}' if begin else str(value)
