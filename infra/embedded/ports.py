"""Free TCP ports on the loopback address."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below the ports that Linux gives to outgoing connections: any of those may have taken one of
# theirs by the time that a server binds it, seconds after it was chosen.
_FREE_PORTS = range(20_000, 32_768)
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


def free_port(preferred: int = 0, taken: Collection[int] = ()) -> int:
    """Return `preferred` when it is free, otherwise any free one that no connection goes out by."""
    port = preferred
    while not port or port in taken or not is_free(port):
        port = secrets.choice(_FREE_PORTS)
    return port


def own_port() -> int:
    """Return a free port that no other process of this user takes until this one ends."""
    while not claim(port := free_port(taken=_claims.keys())):
        pass
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
