"""The risk monitor's own file: its picture and cursor, replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from domain.risk_picture import RiskPicture, ScopeKey
from domain.risk_record import picture_of, record_of


class RiskFile:
    """`risk/shard-{n}.json` of a data folder; a file of another journal is no file."""

    def __init__(self, path: Path, journal_id: str) -> None:
        self._path = path
        self._journal_id = journal_id

    def read(self, shard: int) -> tuple[RiskPicture, list[ScopeKey]]:
        """Return the stored picture and who has been called to add margin.

        An empty one, at sequence 0, where there is none to use.
        """
        try:
            found = json.loads(self._path.read_text())
            if found["journal_id"] == self._journal_id:
                called = [ScopeKey(*key) for key in found["called"]]
                return picture_of(found["picture"]), called
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass  # from an earlier version, or cut off: the log has everything
        return RiskPicture(shard), []

    def write(self, picture: RiskPicture, called: Sequence[ScopeKey]) -> None:
        """Store a picture and the calls; whoever is killed meanwhile leaves what was before."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        stored = {
            "journal_id": self._journal_id,
            "called": called,
            "picture": record_of(picture),
        }
        text = msgspec.json.encode(stored)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(text)
        fresh.replace(self._path)
