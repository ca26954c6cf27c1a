"""Files of tools/ run in a process that has their imports already: forked, not started anew."""

import gc
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile

# A fork server imports these once; a new interpreter takes seconds of them.
PRELOAD = [
    'hetkd.apis.cli',
    'hetkd.utils',
    'hetkd.models',
    'mmpretrain.models',
    'sklearn.linear_model',
    'onnx',
]
CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(PRELOAD)


def run(command: list[str], cwd, env: dict[str, str], timeout: float) -> subprocess.CompletedProcess:
    """``subprocess.run`` of ``[python, FILE, *arguments]`` with captured output."""
    with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as errors:
        process = CONTEXT.Process(target=_run, args=(command[1:], str(cwd), env, _Files(out, errors)))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(command, timeout)
        texts = []
        for file in (out, errors):
            file.seek(0)
            texts.append(file.read())
    return subprocess.CompletedProcess(command, process.exitcode, *texts)


class _Files:
    """Open files, which travel to the process as duplicates."""

    def __init__(self, *files):
        self.fds = [file.fileno() for file in files]

    def __getstate__(self):
        return [multiprocessing.reduction.DupFd(fd) for fd in self.fds]

    def __setstate__(self, state):
        self.fds = [fd.detach() for fd in state]


def _run(argv: list[str], cwd: str, env: dict[str, str], files: _Files) -> None:
    gc.freeze()
    for fd, file in zip((1, 2), files.fds):
        os.dup2(file, fd)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = argv
    # As for a new interpreter: the file's folder, then PYTHONPATH.
    sys.path[:0] = [os.path.dirname(argv[0]), *filter(None, env.get('PYTHONPATH', '').split(os.pathsep))]
    sys.stdout, sys.stderr = open(1, 'w', closefd=False), open(2, 'w', closefd=False)  # noqa: SIM115
    import torch

    torch.set_num_threads(int(env.get('OMP_NUM_THREADS', 1)))
    try:
        runpy.run_path(argv[0], run_name='__main__')
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
