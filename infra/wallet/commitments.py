"""What transactions with unmined nonces will still take from an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from infra.postgres import tables

# (what is still to be paid by contract, how many payments that is) -> what is missing, or None
Shortage = Callable[[Mapping[str | None, int], int], str | None]
_w, _p, _a = tables.withdrawal.c, tables.wallet_payment.c, tables.asset.c


async def committed(
    connection: AsyncConnection, chain: str, address: str, from_nonce: int
) -> tuple[dict[str | None, int], int]:
    """Return what payments from `from_nonce` on take, by contract, and their number.

    Those below were mined when the balance was read, so it shows them already. Those above count
    whatever has become of them since: the balance is from before. Withdrawals have the nonces of
    the hot wallet; a deposit address pays nothing else than what has its address.
    """
    of_withdrawals = (
        sa.select(_a.contract, (_w.amount - _w.fee).label("amount"))
        .join_from(tables.withdrawal, tables.asset)
        .where(_a.chain == chain, _w.nonce >= from_nonce)
    )
    if not await _is_hot(connection, chain, address):
        of_withdrawals = of_withdrawals.where(sa.false())
    of_payments = (
        sa.select(_a.contract, _p.amount)
        .join_from(tables.wallet_payment, tables.asset)
        .where(_p.chain == chain, _p.source == address, _p.nonce >= from_nonce)
    )
    both = sa.union_all(of_withdrawals, of_payments).subquery()
    query = sa.select(
        both.c.contract,
        sa.func.sum(both.c.amount).label("amount"),
        sa.func.count().label("number"),
    ).group_by(both.c.contract)
    rows = (await connection.execute(query)).all()
    return {row.contract: int(row.amount) for row in rows}, sum(row.number for row in rows)


async def _is_hot(connection: AsyncConnection, chain: str, address: str) -> bool:
    """Return whether this is the hot wallet: any address that is no customer's."""
    known = tables.deposit_address.c
    found = await connection.scalar(
        sa.select(known.address).where(known.chain == chain, known.address == address)
    )
    return found is None


async def take_nonce(
    connection: AsyncConnection, chain: str, address: str, chain_nonce: int
) -> int:
    """Return the address' next nonce and count it; the first one is what the chain says.

    Its row's lock is held until the caller's transaction ends.
    """
    nonce = tables.wallet_nonce.c
    await connection.execute(
        insert(tables.wallet_nonce)
        .values(chain=chain, address=address, next_nonce=chain_nonce)
        .on_conflict_do_nothing()
    )
    taken = await connection.execute(
        sa.update(tables.wallet_nonce)
        .where(nonce.chain == chain, nonce.address == address)
        .values(next_nonce=nonce.next_nonce + 1)
        .returning(nonce.next_nonce - 1)
    )
    return int(taken.scalar_one())
