"""What a reorganised chain does to deposits: voided before posting, taken back after it.

After posting the customer may have traded with the money, so only the coins are taken back, into
suspense, which is then short; the customer is frozen until people have looked, with the order to
cancel what he has in the books, and an alarm stands until the payment is in the chain again. Of a
deposit that officers have released, that is whoever got it, and not the address' owner.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.account import parse_account
from domain.adjustment import AdjustmentState
from domain.customer import STANDING_CHANGED, Standing
from domain.deposit import UNPOSTED_STATES, Deposit, DepositState
from domain.deposit_booking import restoration, reversal
from domain.ledger import posted
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.wallet.block_store import ACTOR
from infra.wallet.deposit_rows import DEPOSITS, REVERSED, deposit_of, lock_customers
from infra.wallet.posting import post_or_raise

REASON = "reorganised"
_d, _b, _a = tables.deposit.c, tables.chain_block.c, tables.adjustment.c


class Reorganisations:
    """Each method is one transaction."""

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore, audit: AuditStore) -> None:
        self._engine = engine
        self._ledger = ledger
        self._audit = audit

    async def rewind(self, chain: str, fork: int) -> list[str]:
        """Forget the blocks above `fork`; return the deposits that had been booked.

        What was not booked is voided. The audit log's lock comes last, as everywhere.
        """
        lost = sa.and_(_d.chain == chain, _d.block_number > fork, _d.state != DepositState.VOIDED)
        async with self._engine.begin() as connection:
            owners = await connection.execute(
                sa.select(_d.customer_id).distinct().where(lost, _d.customer_id.is_not(None))
            )
            got = await _released_to(connection, lost)
            await lock_customers(connection, {*owners.scalars(), *got.values()})
            await connection.execute(
                sa.delete(tables.chain_block).where(_b.chain == chain, _b.number > fork)
            )
            rows = await self._locked(connection, lost)
            got = await _released_to(connection, lost)  # one may have been released just now
            open_rows = [row for row in rows if row.state in UNPOSTED_STATES]
            booked = [row for row in rows if row.state not in UNPOSTED_STATES and not row.reversed]
            for row in open_rows:
                await _change(
                    connection, row, state=DepositState.VOIDED, confirmations=0, reason=REASON
                )
            for row in booked:
                await post_or_raise(self._ledger, connection, reversal(row))
                await _change(connection, row, turns=row.turns + 1, reason=REASON)
            await self._note_voided(connection, open_rows, fork)
            for row in booked:
                await self._note_reversed(connection, row, fork, got.get(row.deposit_id))
        return [row.deposit_id for row in booked]

    async def restore(self, chain: str, head: int) -> list[str]:
        """Book again what lies as deep in the chain as it must; return those deposits."""
        here = sa.exists().where(
            _b.chain == _d.chain, _b.number == _d.block_number, _b.hash == _d.block_hash
        )
        async with self._engine.begin() as connection:
            found = await self._locked(connection, sa.and_(_d.chain == chain, REVERSED, here))
            deep = [
                row for row in found if head - row.block_number + 1 >= row.required_confirmations
            ]
            for row in deep:
                await post_or_raise(self._ledger, connection, restoration(row))
                await _change(connection, row, turns=row.turns + 1, reason=None)
            for row in deep:
                await self._audit.append(
                    connection,
                    row.deposit_id,
                    ACTOR,
                    "restored_after_reorganisation",
                    f"{row.deposit_id}:turn-{row.turns + 1}",
                    {"block_hash": row.block_hash, **posted(restoration(row))},
                )
        return [row.deposit_id for row in deep]

    async def _locked(
        self, connection: AsyncConnection, condition: sa.ColumnElement[bool]
    ) -> list[Deposit]:
        query = DEPOSITS.where(condition).order_by(_d.deposit_id)
        rows = await connection.execute(query.with_for_update(of=tables.deposit))
        return [deposit_of(row) for row in rows]

    async def _note_voided(
        self, connection: AsyncConnection, rows: Sequence[Deposit], fork: int
    ) -> None:
        for row in rows:
            await self._audit.append(
                connection,
                row.deposit_id,
                ACTOR,
                DepositState.VOIDED,
                f"{row.deposit_id}:{DepositState.VOIDED}:{row.block_hash}:{fork}:{row.state}",
                {"block_hash": row.block_hash, "fork": fork, "state": row.state},
            )

    async def _note_reversed(
        self, connection: AsyncConnection, row: Deposit, fork: int, released_to: int | None
    ) -> None:
        """Write down what was taken back, freeze who has the money, let his orders be cancelled."""
        key = f"{row.deposit_id}:turn-{row.turns + 1}"
        await self._audit.append(
            connection,
            row.deposit_id,
            ACTOR,
            "reorganised_after_posting",
            key,
            {
                "block_hash": row.block_hash,
                "fork": fork,
                "state": row.state,
                **({} if released_to is None else {"released_to": released_to}),
                **posted(reversal(row)),
            },
        )
        who = row.customer_id if released_to is None else released_to
        if who is not None:
            done = (
                "it was posted" if released_to is None else "officers released it to this customer"
            )
            reason = f"{row.deposit_id} was reorganised after {done}"
            await self._freeze(connection, who, key, reason)

    async def _freeze(
        self, connection: AsyncConnection, customer_id: int, key: str, reason: str
    ) -> None:
        customer = tables.customer.c
        mine = customer.customer_id == customer_id
        before = await connection.scalar(sa.select(customer.status).where(mine))
        if before == Standing.FROZEN:
            return
        await connection.execute(
            sa.update(tables.customer)
            .where(mine)
            .values(status=Standing.FROZEN, orders_due_at=sa.func.now())
        )
        await self._audit.append(
            connection,
            f"customer-{customer_id}",
            ACTOR,
            STANDING_CHANGED,
            f"{STANDING_CHANGED}:{key}",
            {"from": str(before), "to": Standing.FROZEN, "reason": reason},
        )


async def _released_to(
    connection: AsyncConnection, condition: sa.ColumnElement[bool]
) -> dict[str, int]:
    """Return {deposit: the customer to whom two officers gave it}, of those that were released."""
    query = (
        sa.select(_d.deposit_id, _a.postings)
        .join_from(tables.deposit, tables.adjustment, _a.event == _d.deposit_id)
        .where(
            condition,
            _d.state == DepositState.RELEASED,
            _a.state == AdjustmentState.POSTED,
            _a.address == "",  # else it was sent back, which has failed before the release
        )
    )
    found: dict[str, int] = {}
    for row in await connection.execute(query):
        ((_, destination, _, _),) = row.postings
        customer_id = parse_account(destination).customer_id
        assert customer_id is not None
        found[row.deposit_id] = customer_id
    return found


async def _change(connection: AsyncConnection, row: Deposit, **values: object) -> None:
    await connection.execute(
        sa.update(tables.deposit)
        .where(_d.deposit_id == row.deposit_id)
        .values(updated_at=sa.func.now(), **values)
    )
