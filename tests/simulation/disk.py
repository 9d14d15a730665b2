"""A disk that keeps only what was synced, for tests of the journal."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_SECTOR = 512


@dataclass(slots=True)
class _File:
    seen: bytearray = field(default_factory=bytearray)  # what the process reads back
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes]] = field(default_factory=list)


class DiskError(OSError):
    """The disk refuses."""


class SimulatedDisk:
    """`matching.storage.Storage` in memory, with power cuts, torn writes and failing calls.

    Creation, rename and removal are durable at once, as the real storage syncs the folder.
    """

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self.fail_writes = False
        self.fail_syncs = False
        self.syncs = 0

    def names(self, folder: str) -> list[str]:
        """Return the files of a folder."""
        return sorted(name for name in self._files if name.rpartition("/")[0] == folder)

    def create(self, name: str, size: int) -> None:
        """Make a file of zeros."""
        self._refuse_writes()
        self._files[name] = _File(bytearray(size), bytearray(size))

    def size(self, name: str) -> int:
        """Return the size."""
        return len(self._file(name).seen)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return bytes as this process sees them."""
        return bytes(self._file(name).seen[offset : offset + size])

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Write to the cache only."""
        self._refuse_writes()
        file = self._file(name)
        _put(file.seen, offset, data)
        file.unsynced.append((offset, bytes(data)))

    def truncate(self, name: str, size: int) -> None:
        """Cut; durable at once, which is the harder case for the reader."""
        file = self._file(name)
        del file.seen[size:]
        del file.durable[size:]

    def sync(self, name: str) -> None:
        """Make the file's writes durable, or fail and lose them quietly, as kernels do."""
        file = self._file(name)
        self.syncs += 1
        if self.fail_syncs:
            file.unsynced.clear()
            raise DiskError("input/output error")
        for offset, data in file.unsynced:
            _put(file.durable, offset, data)
        file.unsynced.clear()

    def rename(self, old: str, new: str) -> None:
        """Rename; what was synced of the old name is the new name's."""
        self._files[new] = self._files.pop(old)

    def remove(self, name: str) -> None:
        """Remove."""
        self._files.pop(name, None)

    def power_cut(self, seed: random.Random) -> None:
        """Lose each unsynced sector or not, as it comes: dropped, torn and reordered writes."""
        for file in self._files.values():
            for offset, data in file.unsynced:
                for start in range(0, len(data), _SECTOR):
                    if seed.random() < 0.5:
                        _put(file.durable, offset + start, data[start : start + _SECTOR])
            file.unsynced.clear()
            file.seen = bytearray(file.durable)

    def power_cut_clean(self) -> None:
        """Lose everything unsynced."""
        for file in self._files.values():
            file.unsynced.clear()
            file.seen = bytearray(file.durable)

    def flip(self, name: str, offset: int, bit: int = 0) -> None:
        """Flip one bit, as a bad disk does."""
        file = self._file(name)
        file.seen[offset] ^= 1 << bit
        if offset < len(file.durable):
            file.durable[offset] ^= 1 << bit

    def _file(self, name: str) -> _File:
        try:
            return self._files[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    def _refuse_writes(self) -> None:
        if self.fail_writes:
            raise DiskError("no space left on device")


def _put(target: bytearray, offset: int, data: bytes) -> None:
    if len(target) < offset + len(data):
        target.extend(bytes(offset + len(data) - len(target)))
    target[offset : offset + len(data)] = data
