"""The journal's port to the disk, and its real implementation.

Small on purpose: tests put a simulated disk behind it that loses or tears what was not synced.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from matching.failpoint import hit

_ZEROS = bytes(1 << 20)


class Storage(Protocol):
    """Files below one folder, named by relative path; errors are `OSError`."""

    def names(self, folder: str) -> list[str]:
        """Return the files of `folder`, sorted, as "folder/name"."""

    def create(self, name: str, size: int) -> None:
        """Make a file of `size` written zero bytes, replacing one that exists; synced."""

    def size(self, name: str) -> int:
        """Return the size in bytes."""

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer at the end."""

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`; durable after `sync` only."""

    def truncate(self, name: str, size: int) -> None:
        """Cut the file to `size` bytes; durable after `sync` only."""

    def sync(self, name: str) -> None:
        """Return when what was written to `name` survives a power loss."""

    def rename(self, old: str, new: str) -> None:
        """Replace `new` by `old`, durably."""

    def remove(self, name: str) -> None:
        """Remove a file, durably; one that is not there is no error."""


class FileStorage:
    """`Storage` on the file system, below `root`. Open files are kept open."""

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self._root = root
        self._read_only = read_only
        self._open: dict[str, int] = {}
        self._lock = -1

    def lock(self) -> bool:
        """Take the folder for this process alone; False where another process has it."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Close all files and give the folder up."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def names(self, folder: str) -> list[str]:
        """Return the files of `folder`, sorted; a folder that is not there has none."""
        with suppress(FileNotFoundError):
            return sorted(f"{folder}/{path.name}" for path in (self._root / folder).iterdir())
        return []

    def _descriptor(self, name: str, flags: int = 0) -> int:
        descriptor = self._open.get(name)
        if descriptor is None:
            mode = os.O_RDONLY if self._read_only else os.O_RDWR
            descriptor = os.open(self._root / name, mode | flags | os.O_CLOEXEC, 0o600)
            self._open[name] = descriptor
        return descriptor

    def _forget(self, name: str) -> None:
        descriptor = self._open.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def create(self, name: str, size: int) -> None:
        """Make a file of zeros; written, not only reserved, so that later syncs are cheap."""
        self._forget(name)
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = self._descriptor(name, os.O_CREAT | os.O_TRUNC)
        offset = 0
        while offset < size:
            offset += os.pwrite(descriptor, _ZEROS[: size - offset], offset)
            os.fdatasync(descriptor)  # a little at a time: others sync on this disk
        os.fsync(descriptor)
        _sync_folder(path.parent)
        _sync_folder(path.parent.parent)

    def size(self, name: str) -> int:
        """Return the size in bytes."""
        return os.fstat(self._descriptor(name)).st_size

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        return os.pread(self._descriptor(name), size, offset)

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`."""
        descriptor = self._descriptor(name)
        written = os.pwrite(descriptor, data, offset)
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], offset + written)

    def truncate(self, name: str, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(self._descriptor(name), size)

    def sync(self, name: str) -> None:
        """Return when what was written to `name` is on the disk."""
        os.fdatasync(self._descriptor(name))

    def rename(self, old: str, new: str) -> None:
        """Replace `new` by `old`, durably."""
        self._forget(new)
        descriptor = self._open.pop(old, None)
        if descriptor is not None:
            self._open[new] = descriptor
        (self._root / old).replace(self._root / new)
        _sync_folder((self._root / new).parent)

    def remove(self, name: str) -> None:
        """Remove a file, durably."""
        self._forget(name)
        path = self._root / name
        path.unlink(missing_ok=True)
        if path.parent.exists():
            _sync_folder(path.parent)


def write_whole(storage: Storage, name: str, data: bytes) -> None:
    """Replace the file `name` by `data` so that a crash leaves the old or the new, never a mix."""
    fresh = f"{name}.new"
    storage.create(fresh, 0)
    storage.write(fresh, 0, data)
    storage.sync(fresh)
    hit("before_rename")
    storage.rename(fresh, name)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
