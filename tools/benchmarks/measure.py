"""Time and memory measurement for the benchmarks."""

import json
import subprocess
import sys
import time

import torch

from hetkd.utils.whole_file import write_whole

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


def timed(run):
    """Seconds of ``run()``, synchronised with the device, and its result."""
    wait = torch.cuda.synchronize if DEVICE == 'cuda' else lambda: None
    wait()
    start = time.perf_counter()
    result = run()
    wait()
    return time.perf_counter() - start, result


def work_of(run):
    """CPU seconds of ``run()`` on one thread, else seconds of the clock, and its result."""
    if DEVICE != 'cpu' or torch.get_num_threads() > 1:
        return timed(run)
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def peak_of(script, *args):
    """Extra peak memory in MiB that ``script`` prints, run in its own process."""
    # Through a shell, which forks: a direct child would start with this process's peak as its ru_maxrss.
    command = ['sh', '-c', '"$@"; exit $?', 'sh', sys.executable, script, *args]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def machine():
    """Software and device that the measurements depend on."""
    return dict(torch=torch.__version__, device=DEVICE, threads=torch.get_num_threads())


def save(out, numbers):
    """Write them as JSON where ``--out`` names a file."""
    if out:
        write_whole(out, json.dumps(numbers, indent=2))
