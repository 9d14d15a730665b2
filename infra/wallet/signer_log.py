"""The signer's own log: what it refused and whose key changed; append-only and hash-chained.

The signer's machine may reach no database, so it keeps this beside its other files. Each line has
the hash of the line before it; a changed, dropped or inserted line is named by `fault`.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.hash_chain import GENESIS, JsonValue, NotCanonicalError, link
from infra.private_files import give_to_folders_owner

_TAIL = 1 << 18  # longer than any line: four texts, escaped
_LONGEST_TEXT = 2_000


def signer_log_path(data_dir: Path) -> Path:
    """Return the log's file."""
    return data_dir / "signer" / "log.jsonl"


class SignerLog:
    """Appends under a lock, as the signer and an operator's verb may write at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, at: dt.datetime, action: str, detail: Mapping[str, str]) -> None:
        """Write one line to disk; a line that a crash cut off before is dropped."""
        content: dict[str, JsonValue] = {
            "at": at.isoformat(),
            "action": action,
            "detail": {name: text[:_LONGEST_TEXT] for name, text in detail.items()},
        }
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            give_to_folders_owner(self._path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            previous = self._last_hash(descriptor)
            line = {**content, "hash": link(previous, content).hex()}
            os.write(descriptor, json.dumps(line).encode("ascii") + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _last_hash(self, descriptor: int) -> bytes:
        """Return the newest hash, and stand behind the last whole line."""
        size = os.lseek(descriptor, 0, os.SEEK_END)
        tail = os.pread(descriptor, _TAIL, max(0, size - _TAIL))
        whole = tail[: tail.rfind(b"\n") + 1]
        end = size - (len(tail) - len(whole))
        os.ftruncate(descriptor, end)
        os.lseek(descriptor, end, os.SEEK_SET)
        lines = whole.splitlines()
        return bytes.fromhex(json.loads(lines[-1])["hash"]) if lines else GENESIS

    def records(self) -> list[dict[str, Any]]:
        """Return the whole lines, oldest first; [] when nothing was ever written."""
        if not self._path.exists():
            return []
        whole = self._path.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]


def log_fault(records: list[dict[str, Any]]) -> int | None:
    """Return the number, from 1, of the first record that does not follow the one before it."""
    previous = GENESIS
    for number, record in enumerate(records, start=1):
        content = {name: value for name, value in record.items() if name != "hash"}
        try:
            previous = link(previous, content)
        except NotCanonicalError:  # a value that we never write
            return number
        if previous.hex() != record.get("hash"):
            return number
    return None
