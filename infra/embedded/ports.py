"""Free TCP ports on the loopback address."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
_claims: dict[int, int] = {}  # the locked file of each port that this process has claimed


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port(preferred: int = 0, taken: frozenset[int] | set[int] = frozenset()) -> int:
    """Return `preferred` when it is free, otherwise a port that the kernel picks."""
    if preferred and preferred not in taken and is_free(preferred):
        return preferred
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def claim(port: int) -> bool:
    """Claim a port among the exchanges of this user until this process ends; False: another has it.

    A server binds its port seconds after it was chosen: until then nothing else tells another
    exchange, which is started meanwhile, that it is taken.
    """
    if port in _claims:
        return True
    folder = Path(tempfile.gettempdir()) / f"rialto-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _claims[port] = descriptor
    return True


@contextmanager
def reserved(port: int) -> Iterator[None]:
    """Keep a port of a server that is down from being given to another; nobody answers on it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, port))
        yield


def listens(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether something accepts connections on `port`."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
