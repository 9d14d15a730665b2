"""How far each registered reader is: what retention may drop, and what a start must still have."""

from __future__ import annotations

import json

from matching.storage import Storage, write_whole

_FILE = "cursors/cursors.json"


class Cursors:
    """Named cursors of the readers of one shard, kept in a small file."""

    def __init__(self, storage: Storage) -> None:
        """Read the file; one that is not there knows of no reader."""
        self._storage = storage
        self._saved: dict[str, int] = {}
        if _FILE in storage.names("cursors"):
            text = storage.read(_FILE, 0, storage.size(_FILE)).decode()
            self._saved = {str(name): int(value) for name, value in json.loads(text).items()}
        self.positions = dict(self._saved)

    def register(self, name: str, sequence: int) -> None:
        """Note that reader `name` has everything up to `sequence`; written by `save`."""
        self.positions[name] = sequence

    def save(self) -> bool:
        """Write what changed; return whether anything had."""
        if self.positions == self._saved:
            return False
        positions = dict(self.positions)
        write_whole(self._storage, _FILE, json.dumps(positions, sort_keys=True).encode())
        self._saved = positions
        return True

    def lowest(self, default: int) -> int:
        """Return the lowest cursor, `default` when there is no reader."""
        return min(self.positions.values(), default=default)
