"""Signed files that come at once: each nonce of the cold address has one payment."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.cold_refill import RefillPayment, RefillRequest
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.wallet.cold_wallet import COLD_WALLET_PATH, transactions_of
from infra.wallet.keys import Seed
from infra.wallet.refill_store import NotStored, RefillObjection, RefillStore
from infra.wallet.signer import signature_of

SEED = Seed(bytes(range(32)))
COLD = SEED.address(COLD_WALLET_PATH)
HOT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
ASKED = RefillRequest(
    31337, COLD, HOT, 4, 100, 10, (RefillPayment("ETH", None, 18, 10**18, 21_000),)
)
DEARER = replace(ASKED, max_fee=110, priority_fee=11)


def _signed(request: RefillRequest) -> list[bytes]:
    key = SEED.private_key(COLD_WALLET_PATH)
    return [it.signed(*signature_of(key, it.signing_hash())) for it in transactions_of(request)]


async def _submit(
    engine: AsyncEngine, request: RefillRequest, mined_below: int = 0
) -> list[str] | NotStored:
    store = RefillStore(engine, AuditStore())
    return await store.store("ETH", request, _signed(request), "me", mined_below)


async def _counts(engine: AsyncEngine) -> tuple[int, int]:
    async with engine.connect() as connection:
        counted = [
            await connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in (tables.wallet_payment, tables.wallet_transaction)
        ]
    return counted[0] or 0, counted[1] or 0


async def test_a_dearer_transaction_is_stored_under_the_first_ones_payment(
    database: AsyncEngine,
) -> None:
    """Once, and only while nothing of the nonce is mined; what is stored may be told again."""
    first = await _submit(database, ASKED)
    assert await _submit(database, DEARER) == first
    assert await _submit(database, DEARER, mined_below=5) == first
    again = replace(DEARER, max_fee=200, priority_fee=20)
    assert await _submit(database, again, 5) == NotStored(RefillObjection.NONCE_USED, 4)
    cheap = replace(DEARER, max_fee=120, priority_fee=12)
    assert await _submit(database, cheap) == NotStored(RefillObjection.TOO_CHEAP, 4)
    more = replace(again, payments=(replace(ASKED.payments[0], amount=1),))
    assert await _submit(database, more) == NotStored(RefillObjection.NONCE_TAKEN, 4)
    assert await _counts(database) == (1, 2)


async def test_a_file_is_stored_whole_or_not_at_all(database: AsyncEngine) -> None:
    """A new payment beside one that is refused is not stored either."""
    await _submit(database, ASKED)
    both = replace(ASKED, nonce=3, max_fee=105, payments=ASKED.payments * 2)
    assert await _submit(database, both) == NotStored(RefillObjection.TOO_CHEAP, 4)
    assert await _counts(database) == (1, 1)


async def test_files_that_come_at_once_leave_one_payment(database: AsyncEngine) -> None:
    """The same one, and two of one nonce: whoever comes second is refused, or knew it."""
    answers = await asyncio.gather(*(_submit(database, it) for it in (ASKED, ASKED, DEARER) * 2))
    stored = {one[0] for one in answers if isinstance(one, list)}
    refused = {one.why for one in answers if isinstance(one, NotStored)}
    assert len(stored) == 1
    assert refused <= {RefillObjection.NONCE_TAKEN, RefillObjection.TOO_CHEAP}
    payments, transactions = await _counts(database)
    assert payments == 1
    assert transactions in (1, 2)
    async with database.connect() as connection:
        owners = sa.select(tables.wallet_transaction.c.payment_id).distinct()
        assert [str(it) for it in (await connection.execute(owners)).scalars()] == [*stored]
