"""The data folder of one exchange: its layout, its owner, and what it remembers between starts."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.embedded.ports import claim, free_port

_PARTS = ("run", "logs", "wallet", "secrets", "signer", "engine", "temporal", "valkey", "chain")


class FolderInUseError(RuntimeError):
    """Another `rialto up` runs on this folder."""

    def __init__(self, folder: Path, pid: int) -> None:
        super().__init__(
            f"The exchange in {folder} is already running (process {pid}). "
            "Stop that one with Ctrl-C, or start a second exchange with --data OTHER_FOLDER; "
            "it takes other ports by itself."
        )
        self.pid = pid


class FewerShardsError(RuntimeError):
    """The folder has shards with a journal that the wanted number leaves out."""


def shard_count(folder: Path, wanted: int | None) -> int:
    """Return how many shards to run: as many as there are, or more; `FewerShardsError`.

    A shard is never taken away: its journal is the truth of its customers' money.
    """
    numbers = [int(path.name.removeprefix("shard-")) for path in folder.glob("engine/shard-*")]
    there = max(numbers, default=-1) + 1
    if wanted is not None and wanted < there:
        raise FewerShardsError(
            f"The exchange in {folder} has {there} shards, and {wanted} would leave out customers' "
            f"money. Start it with --shards {there}, or without the option."
        )
    return max(1, there if wanted is None else wanted)


def make_folders(folder: Path) -> None:
    """Create the folder and its parts, which are for the owner only.

    The folder itself may be passed through: as root, PostgreSQL runs as another user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _PARTS:
        (folder / name).mkdir(mode=0o700, exist_ok=True)


def lock_path(folder: Path) -> Path:
    """Return the file that the running supervisor holds locked."""
    return folder / "run" / "supervisor.pid"


def demo_record_path(folder: Path) -> Path:
    """Return the file of what the demo seeded, with its customers' API keys."""
    return folder / "secrets" / "demo.json"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; `FolderInUseError` when another one does."""
    make_folders(folder)
    with lock_path(folder).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUseError(folder, supervisor_pid(folder) or 0) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def supervisor_pid(folder: Path) -> int | None:
    """Return the pid of the living supervisor, or None: a lock that can be had is nobody's."""
    try:
        with lock_path(folder).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0)
    except OSError:
        pass
    return None


def read_json(path: Path) -> dict[str, object]:
    """Return a JSON object from a file; {} when there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, content: Mapping[str, object], mode: int = 0o600) -> None:
    """Replace a file by a JSON object, atomically, readable by the owner unless `mode` says so."""
    fresh = path.with_suffix(path.suffix + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    fresh.replace(path)


def scatter_ports(folder: Path, names: Iterable[str]) -> None:
    """Let a folder's next start take ports that nobody prefers: it may give them up for a while."""
    ports: dict[str, object] = {}
    for name in names:
        ports[name] = free_port(taken={port for port in ports.values() if isinstance(port, int)})
    write_json(folder / "run" / "ports.json", ports)


def choose_ports(folder: Path, preferred: Mapping[str, int]) -> dict[str, int]:
    """Return a port for each name: the last start's, else the preferred one, else any free one.

    All are this process's until it ends: an exchange that is started meanwhile takes others.
    """
    path = folder / "run" / "ports.json"
    remembered = read_json(path)
    ports: dict[str, int] = {}
    for name, usual in preferred.items():
        last = remembered.get(name)
        wish = last if isinstance(last, int) else usual
        refused = set(ports.values())
        while not claim(port := free_port(wish, refused)):
            refused.add(port)
        ports[name] = port
    write_json(path, ports)
    return ports
