"""Fork server: runs each command that a client asks for in a child that has the imports already."""

import atexit
import contextlib
import faulthandler
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import threading
import traceback

MODULES = [
    'hetkd.apis.cli', 'hetkd.apis.mistakes', 'hetkd.apis.launch', 'hetkd.utils', 'hetkd.models',
    'hetkd.datasets', 'hetkd.engine', 'hetkd.evaluation', 'hetkd.visualization', 'mmpretrain.models',
    'sklearn.datasets', 'sklearn.linear_model', 'torch.distributed.run', 'matplotlib.pyplot', 'onnx',
]  # fmt: skip


def receive(connection):
    """Arguments, folder and environment of a command, and its three files."""
    head, files, *_ = socket.recv_fds(connection, 8, 3)
    (size,) = struct.unpack('<q', head)
    text = b''
    while len(text) < size:
        text += connection.recv(size - len(text))
    return json.loads(text), files


def serve(address):
    """Fork for each request; returns in the child, with the request."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    print('listening', flush=True)
    children = {}
    waiting = selectors.SelectSelector()  # needs no file of its own, which a child would share
    for source in (sys.stdin, woken, listener):
        waiting.register(source, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is sys.stdin:
                for child in children:
                    os.killpg(child, signal.SIGKILL)
                os._exit(0)
            elif key.fileobj is listener:
                connection, _ = listener.accept()
                request, files = receive(connection)
                child = os.fork()
                if child == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.setpgid(0, 0)
                    for x in (listener, woken, wake, connection, *children.values()):
                        x.close()
                    return request, files
                with contextlib.suppress(OSError):
                    os.setpgid(child, child)
                for file in files:
                    os.close(file)
                connection.sendall(struct.pack('<q', child))
                children[child] = connection
                waiting.register(connection, selectors.EVENT_READ)
            elif key.fileobj is woken:
                woken.recv(4096)
                reap(children, waiting)
            elif key.fileobj in children.values():  # the client has been killed
                waiting.unregister(key.fileobj)
                child = next(x for x, connection in children.items() if connection is key.fileobj)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)


def reap(children, waiting):
    """Tell clients how their children have ended."""
    while children:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        connection = children.pop(child)
        with contextlib.suppress(KeyError):
            waiting.unregister(connection)
        with contextlib.suppress(OSError):
            connection.sendall(struct.pack('<q', os.waitstatus_to_exitcode(status)))
        connection.close()


def become(request, files):
    """Be the process that the client was asked to start."""
    argv, folder, environment, python = request
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, 'w'), open(2, 'w')  # noqa: SIM115
    faulthandler.register(signal.SIGUSR1)  # where it is, for one who looks into a hanging test
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable = python
    import torch

    from hetkd import clock

    # Its memory is shared with every other fork: two runs at a time would set each other's epoch.
    clock.join_clock(clock.shared_memory().clone().share_memory_())
    torch.set_num_threads(int(environment.get('OMP_NUM_THREADS', 1)))
    module = argv[0] == '-m'
    sys.argv = argv[1:] if module else argv
    # As in a new interpreter: the file's folder, then PYTHONPATH.
    paths = environment.get('PYTHONPATH', '').split(os.pathsep)
    sys.path[:1] = [folder if module else os.path.dirname(argv[0]), *filter(None, paths)]
    status = 0
    try:
        if module:
            runpy.run_module(argv[1], run_name='__main__', alter_sys=True)
        else:
            runpy.run_path(argv[0], run_name='__main__')
    except SystemExit as end:
        status = end.code or 0
        if not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    # The end of an interpreter, but for taking all modules apart, which takes longest.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == '__main__':
    for name in MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    become(*serve(sys.argv[1]))
