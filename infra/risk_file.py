"""The risk monitor's own file: its picture and cursor, replaced as a whole."""

from __future__ import annotations

import json
from pathlib import Path

from domain.risk_picture import RiskPicture
from domain.risk_record import picture_of, record_of


class RiskFile:
    """`risk/shard-{n}.json` of a data folder; a file of another journal is no file."""

    def __init__(self, path: Path, journal_id: str) -> None:
        self._path = path
        self._journal_id = journal_id

    def read(self, shard: int) -> RiskPicture:
        """Return the stored picture; an empty one, at sequence 0, where there is none to use."""
        try:
            found = json.loads(self._path.read_text())
            if found["journal_id"] == self._journal_id:
                return picture_of(found["picture"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass  # from an earlier version, or cut off: the log has everything
        return RiskPicture(shard)

    def write(self, picture: RiskPicture) -> None:
        """Store a picture; whoever is killed meanwhile leaves the one before."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps({"journal_id": self._journal_id, "picture": record_of(picture)})
        fresh = self._path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._path)
