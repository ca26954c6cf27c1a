"""What a launcher tells a process of its place, before the processes have joined."""

import os

RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
# Not SLURM_NTASKS, which a script of sbatch has as well, without srun.
PROCESSES = ('WORLD_SIZE', 'SLURM_STEP_NUM_TASKS', 'OMPI_COMM_WORLD_SIZE')


def launched_rank() -> int:
    """The number of this process among those of torchrun, srun or mpirun; 0 of one begun by hand."""
    return _told(RANKS, 0)


def launched_processes() -> int:
    """How many processes torchrun, srun or mpirun has begun; 1 of one begun by hand."""
    return _told(PROCESSES, 1)


def _told(names: tuple[str, ...], otherwise: int) -> int:
    return next((int(os.environ[x]) for x in names if os.environ.get(x)), otherwise)
