"""Runs of a comparison as an array job of slurm, through submitit."""

import signal
from pathlib import Path
from threading import Event, Thread
from typing import Sequence

from hetkd.errors import UserError

from .cell import Cell

CPUS = 5  # of each process, as in tools/slurm_train.sh
POLL = 2.0


class Run:
    """One run in its job; at the job's time limit it is interrupted, and resumed by the job that follows."""

    def __init__(self, cell: Cell):
        self.cell = cell

    def __call__(self) -> None:
        self.stop = Event()
        self.thread = Thread(target=self.cell.run, args=(self.stop,))
        signal.signal(signal.SIGTERM, lambda *_: self.stop.set())
        self.thread.start()
        self.thread.join()

    def checkpoint(self):
        """Called by submitit before the time limit; what to submit again."""
        from submitit.helpers import DelayedSubmission

        self.stop.set()
        self.thread.join()
        return DelayedSubmission(Run(self.cell))


class ArrayJob:
    """An array job with one element a run.

    Args:
        cells: the runs.
        folder: of submitit's files and the output of the jobs; all nodes must see it.
        partition: of slurm.
        at_once: runs at a time.
        hours: time limit of a job; a run that takes longer is resumed in another one.

    Raises:
        UserError: submitit is not installed.
    """

    def __init__(self, cells: Sequence[Cell], folder, partition: str, at_once: int, hours: int):
        try:
            import submitit
        except ImportError as error:
            raise UserError(
                '--slurm', 'the package submitit', 'none', 'pip install "hetkd[slurm]"'
            ) from error
        self.folder = Path(folder)
        executor = submitit.SlurmExecutor(self.folder, max_num_timeout=1000)
        gpus = cells[0].gpus
        executor.update_parameters(
            job_name='hetkd', partition=partition, time=60 * hours, nodes=1, ntasks_per_node=1,
            gpus_per_node=gpus or None, cpus_per_task=CPUS * max(1, gpus), array_parallelism=at_once,
        )  # fmt: skip
        jobs = executor.submit_array([Run(cell) for cell in cells])
        self.jobs = {cell.folder: job for cell, job in zip(cells, jobs)}

    def wait(self, cell: Cell, stop: Event) -> None:
        """Wait for the end of a run, or cancel its job where ``stop`` is set; then read its state."""
        job = self.jobs[cell.folder]
        while not job.done():
            if stop.wait(POLL):
                job.cancel(check=False)
                break
        cell.reload()
        if cell.state['status'] == 'running' or not (cell.is_settled or cell.state['reason']):
            cell.state |= {'status': 'missing', 'reason': f'its job has ended; see {job.paths.stderr}'}
