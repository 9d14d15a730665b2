"""What the withdrawal policy looks at: our own addresses, and a local list of denied ones."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.withdrawal import PolicyFacts
from infra.postgres import tables


def denied_path(data_dir: Path) -> Path:
    """Return the file of denied addresses, one a line in checksum form; # starts a remark."""
    return data_dir / "wallet" / "denied-addresses.txt"


class PolicyFactsReader:
    """Reads the facts anew for every withdrawal, so an edited list counts at once."""

    def __init__(self, engine: AsyncEngine, data_dir: Path, hot_address: str) -> None:
        self._engine = engine
        self._path = denied_path(data_dir)
        self._hot_address = hot_address

    async def __call__(self) -> PolicyFacts:
        """Return the facts of this moment."""
        query = sa.select(tables.asset.c.contract).where(tables.asset.c.contract.is_not(None))
        async with self._engine.connect() as connection:
            contracts = set((await connection.execute(query)).scalars())
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        denied = {line.partition("#")[0].strip() for line in lines} - {""}
        return PolicyFacts(
            own_addresses=frozenset({self._hot_address, *contracts}),
            denied_addresses=frozenset(denied),
        )
