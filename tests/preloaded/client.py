"""The process that a test starts and signals: the command itself runs in a fork of the server."""

import json
import os
import signal
import socket
import struct
import sys

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def number(connection):
    """An integer from the server."""
    text = connection.recv(8)
    if not text:
        sys.exit('the fork server has ended')
    return struct.unpack('<q', text)[0]


def main():
    address, real, *argv = sys.argv[1:]
    while argv[:1] == ['-u']:
        del argv[0]
    if not argv or (argv[0].startswith('-') and argv[0] != '-m'):
        os.execv(real, [real, *argv])
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    # This file's caller is the executable of tests.preloaded.python, beside the socket.
    python = os.path.join(os.path.dirname(address), 'python')
    text = json.dumps([argv, os.getcwd(), dict(os.environ), python]).encode()
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    socket.send_fds(connection, [struct.pack('<q', len(text))], [0, 1, 2])
    connection.sendall(text)
    child = number(connection)
    for x in FORWARDED:
        signal.signal(x, lambda received, _: os.kill(child, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    status = number(connection)
    if status < 0:
        for x in FORWARDED:
            signal.signal(x, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


main()
