"""A Python interpreter for tests that starts in milliseconds: forked from a process that has the imports."""

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


@functools.cache
def python() -> str:
    """Path of an executable to use in place of ``sys.executable``; what it starts finds it there.

    A file or ``-m MODULE`` runs in a fork, anything else in the real interpreter. A fork has neither the
    limits (``ulimit``), nor the parent, nor the process group of its caller; signals, files, status, folder
    and environment are the caller's.
    """
    folder = Path(tempfile.mkdtemp(prefix='preloaded'))
    path, address = folder / 'python', folder / 'socket'
    server = subprocess.Popen(
        [sys.executable, HERE / 'server.py', address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(HERE.parents[1])},
    )
    server.stdout.readline()  # it listens
    # Its end, or this process's, ends the server and all that it runs.
    atexit.register(server.stdin.close)
    path.write_text(
        f'#!/bin/sh\nexec {sys.executable} -I -S {HERE}/client.py {address} {sys.executable} "$@"\n'
    )
    path.chmod(0o755)
    return str(path)
