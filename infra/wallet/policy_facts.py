"""What the withdrawal policy looks at: own addresses, screenings, list and limits."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.screening import Screening
from domain.withdrawal import PolicyFacts, Withdrawal
from infra.postgres import tables
from infra.postgres.withdrawal_addresses import allowance, listed_address
from infra.wallet.screening import Screener, ask_all


class PolicyFactsReader:
    """Reads the facts anew for every withdrawal, so that whatever has changed counts at once."""

    def __init__(
        self, engine: AsyncEngine, hot_address: str, screeners: Mapping[str, Screener]
    ) -> None:
        self._engine = engine
        self._hot_address = hot_address
        self._screeners = screeners

    async def __call__(self, withdrawal: Withdrawal) -> PolicyFacts:
        """Return the facts of this moment about a withdrawal."""
        query = sa.select(tables.asset.c.contract).where(tables.asset.c.contract.is_not(None))
        cold = sa.select(tables.cold_address.c.address)
        async with self._engine.connect() as connection:
            ours = set((await connection.execute(query.union(cold))).scalars())
            allowed = await allowance(
                connection,
                customer_id=withdrawal.customer_id,
                chain=withdrawal.chain,
                address=withdrawal.address,
                value_cents=withdrawal.value_cents,
                asked=(UUID(withdrawal.withdrawal_id), withdrawal.created_at),
            )
            listed = await listed_address(
                connection, withdrawal.customer_id, withdrawal.chain, withdrawal.address
            )
        asked = Screening(
            subject=withdrawal.subject,
            customer_id=withdrawal.customer_id,
            asset=withdrawal.asset.code,
            amount=withdrawal.amount,
            value_cents=withdrawal.value_cents,
            chain=withdrawal.chain,
            address=withdrawal.address,
            beneficiary="" if listed is None else listed.beneficiary,
            institution="" if listed is None else listed.institution,
        )
        return PolicyFacts(
            own_addresses=frozenset({self._hot_address, *ours}),
            screenings=await ask_all(self._screeners, asked),
            allowance=allowed,
        )
