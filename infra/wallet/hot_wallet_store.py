"""What the wallet has where, as the books say, and the bands that it is to be kept in."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.hot_wallet import Band, DepositHolding, Holdings
from domain.instrument import Asset
from domain.ledger import wallet_cold, wallet_deposit, wallet_hot, withdrawal_pending
from domain.wallet_payment import FINAL_STATES, PaymentKind
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.reading import reading
from infra.wallet.sweepable import Sweepable

SUBJECT = "hot-wallet"
BAND_SET = "band_set"  # audit action
_a, _b, _p = tables.asset.c, tables.hot_wallet_band.c, tables.wallet_payment.c


def _asset(row: Any) -> Asset:
    return Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals)


def _or_none(amount: Any) -> int | None:
    return None if amount is None else int(amount)


class HotWalletStore:
    """Reads bands and holdings of one chain; sets a band with its record in the audit log."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore) -> None:
        self._engine = engine
        self._audit = audit
        self._sweepable = Sweepable()

    async def bands(self, chain: str) -> list[Band]:
        """Return every asset of the chain with its bounds, in the order of their numbers."""
        query = (
            sa.select(tables.asset, _b.sweep_above, _b.floor, _b.target, _b.ceiling)
            .select_from(tables.asset.outerjoin(tables.hot_wallet_band))
            .where(_a.chain == chain)
            .order_by(_a.asset_id)
        )
        async with reading(self._engine) as connection:
            return [
                Band(
                    _asset(row),
                    row.contract,
                    _or_none(row.sweep_above),
                    _or_none(row.floor),
                    _or_none(row.target),
                    _or_none(row.ceiling),
                )
                for row in await connection.execute(query)
            ]

    async def set_band(self, band: Band, by: str) -> None:
        """Write an asset's bounds."""
        bounds = {
            "sweep_above": band.sweep_above,
            "floor": band.floor,
            "target": band.target,
            "ceiling": band.ceiling,
        }
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(tables.hot_wallet_band)
                .values(asset_id=band.asset.asset_id, **bounds)
                .on_conflict_do_update(index_elements=["asset_id"], set_=bounds)
            )
            told = {name: None if it is None else str(it) for name, it in bounds.items()}
            await self._audit.append(
                connection,
                SUBJECT,
                by,
                BAND_SET,
                f"{BAND_SET}:{uuid4()}",
                {"asset": band.asset.code, **told},
            )

    async def holdings(self, chain: str) -> list[Holdings]:
        """Return what there is of each asset of the chain."""
        account = tables.ledger_account.c
        names = (wallet_deposit, wallet_hot, wallet_cold)
        going = (
            sa.select(_p.asset_id, _p.kind, sa.func.sum(_p.amount).label("amount"))
            .where(_p.chain == chain, _p.state.not_in(sorted(FINAL_STATES)))
            .group_by(_p.asset_id, _p.kind)
        )
        async with reading(self._engine) as connection:
            assets = (
                await connection.execute(
                    sa.select(tables.asset).where(_a.chain == chain).order_by(_a.asset_id)
                )
            ).all()
            codes = [name(chain, row.code) for row in assets for name in names]
            codes += [withdrawal_pending(row.code) for row in assets]
            rows = await connection.execute(
                sa.select(account.code, account.balance).where(account.code.in_(codes))
            )
            balances = {row.code: int(row.balance) for row in rows}
            open_payments: dict[tuple[int, str], int] = {
                (row.asset_id, row.kind): int(row.amount) for row in await connection.execute(going)
            }
        return [
            Holdings(
                _asset(row),
                deposits=-balances.get(wallet_deposit(chain, row.code), 0),
                hot=-balances.get(wallet_hot(chain, row.code), 0),
                cold=-balances.get(wallet_cold(chain, row.code), 0),
                pending=balances.get(withdrawal_pending(row.code), 0),
                leaving=sum(
                    open_payments.get((row.asset_id, kind), 0)
                    for kind in (PaymentKind.GAS, PaymentKind.COLD)
                ),
                coming=open_payments.get((row.asset_id, PaymentKind.SWEEP), 0),
                refilling=open_payments.get((row.asset_id, PaymentKind.REFILL), 0),
            )
            for row in assets
        ]

    async def cold_addresses(self, chain: str) -> set[str]:
        """Return the cold addresses whose coins are in the books."""
        row = tables.cold_address.c
        query = sa.select(row.address).where(row.chain == chain, row.since_block.is_not(None))
        async with reading(self._engine) as connection:
            return set((await connection.execute(query)).scalars())

    async def to_sweep(self, chain: str, busy: Collection[str], most: int) -> list[DepositHolding]:
        """Return deposit addresses that hold more than their asset's bound, the fullest first.

        `busy` are addresses that an open payment concerns. This store remembers what it found, so
        that the next look reads only what has changed.
        """
        async with reading(self._engine) as connection:
            found = await self._sweepable.look(connection, chain, busy, most)
            assets = {
                row.asset_id: row for row in await connection.execute(sa.select(tables.asset))
            }
        return [
            DepositHolding(
                it.address,
                it.path,
                _asset(assets[it.asset_id]),
                assets[it.asset_id].contract,
                it.amount,
            )
            for it in found
        ]
