"""What the withdrawal policy looks at: our own addresses, denied ones, list and limits."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.withdrawal import PolicyFacts, Withdrawal
from infra.postgres import tables
from infra.postgres.withdrawal_addresses import allowance


def denied_path(data_dir: Path) -> Path:
    """Return the file of denied addresses, one a line in checksum form; # starts a remark."""
    return data_dir / "wallet" / "denied-addresses.txt"


class PolicyFactsReader:
    """Reads the facts anew for every withdrawal, so an edited list counts at once."""

    def __init__(self, engine: AsyncEngine, data_dir: Path, hot_address: str) -> None:
        self._engine = engine
        self._path = denied_path(data_dir)
        self._hot_address = hot_address

    async def __call__(self, withdrawal: Withdrawal) -> PolicyFacts:
        """Return the facts of this moment about a withdrawal."""
        query = sa.select(tables.asset.c.contract).where(tables.asset.c.contract.is_not(None))
        async with self._engine.connect() as connection:
            contracts = set((await connection.execute(query)).scalars())
            allowed = await allowance(
                connection,
                customer_id=withdrawal.customer_id,
                chain=withdrawal.chain,
                address=withdrawal.address,
                value_cents=withdrawal.value_cents,
                asked=(UUID(withdrawal.withdrawal_id), withdrawal.created_at),
            )
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        denied = {line.partition("#")[0].strip() for line in lines} - {""}
        return PolicyFacts(
            own_addresses=frozenset({self._hot_address, *contracts}),
            denied_addresses=frozenset(denied),
            allowance=allowed,
        )
