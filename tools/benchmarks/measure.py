"""Time and memory, for the benchmarks beside this file."""

import subprocess
import sys
import time

import torch

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


def timed(run):
    """Seconds of ``run()`` with the device's work done, and its result."""
    wait = torch.cuda.synchronize if DEVICE == 'cuda' else lambda: None
    wait()
    start = time.perf_counter()
    result = run()
    wait()
    return time.perf_counter() - start, result


def peak_of(script, *args):
    """What ``script`` prints as its extra peak in a process of its own, in MiB."""
    # Through a shell, which forks: a direct child would begin with our own peak as its ru_maxrss.
    command = ['sh', '-c', '"$@"; exit $?', 'sh', sys.executable, script, *args]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def machine():
    """What the figures depend on."""
    return dict(torch=torch.__version__, device=DEVICE, threads=torch.get_num_threads())
