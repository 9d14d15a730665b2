"""Volumes and fee tiers as rows: what was traded on a day, and which tier that gives."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.fee_tiers import (
    REFERENCE_ASSET,
    SAME,
    Assessed,
    CustomerTier,
    Worth,
    start_of_day_us,
    tier_of,
    volume_units,
    window_days,
    worth_at,
)
from domain.instrument import Asset
from domain.ledger import settlement_stream
from infra.postgres import tables
from infra.postgres.markets import instrument_of_row
from infra.postgres.order_history_store import order_history_stream
from infra.postgres.reading import reading

_T, _V, _D = tables.trade_event, tables.volume_day, tables.tier_day
_FIRST_FROM = sa.text(  # by the primary key, in the one partition that has it
    "SELECT sequence, time_us FROM trade_event WHERE shard = :shard AND sequence >= :sequence"
    " ORDER BY sequence LIMIT 1"
)
_ADD_UP = sa.text(
    "INSERT INTO volume_day (day, shard, account_id, quote_asset_id, quote_units)"
    " SELECT CAST(:day AS date), CAST(:shard AS smallint), side.account_id, i.quote_asset_id,"
    "  sum(t.quote_units)"
    " FROM trade_event t JOIN instrument i USING (symbol_id)"
    " CROSS JOIN LATERAL (VALUES (t.maker_account_id), (t.taker_account_id)) AS side(account_id)"
    " WHERE t.shard = :shard AND t.sequence >= :first AND t.sequence < :last"
    " GROUP BY side.account_id, i.quote_asset_id"
)
_COUNT = sa.text(
    "SELECT count(*) FROM trade_event"
    " WHERE shard = :shard AND sequence >= :first AND sequence < :last"
)
_TRADED = sa.text(
    "SELECT account_id, quote_asset_id, sum(quote_units) AS units FROM volume_day"
    " WHERE day >= :first AND day < :day GROUP BY account_id, quote_asset_id"
)
_LAST_CLOSE = sa.text(
    "SELECT close_ticks FROM candle WHERE symbol_id = :symbol_id AND interval_seconds = 60"
    " AND open_time_us < :before ORDER BY open_time_us DESC LIMIT 1"
)
_TIERS_NOW = sa.text(
    "SELECT DISTINCT ON (account_id) account_id, tier FROM account_tier WHERE shard = :shard"
    " ORDER BY account_id, sequence DESC"
)
_TIER_LOCK = 0x52_49_41_4C_54_4F_00_04


class FeeTierStore:
    """Each day is added up once and assessed once; a repeat finds what the first has written."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def reached(self, shard: int) -> int:
        """Return up to which sequence trades are settled and tiers are followed, both."""
        row = tables.cursor.c
        streams = (settlement_stream(shard), order_history_stream(shard))
        async with self._engine.connect() as conn:
            query = sa.select(row.stream, row.last_sequence).where(row.stream.in_(streams))
            found = {row.stream: int(row.last_sequence) for row in await conn.execute(query)}
        return min(found.get(stream, 0) for stream in streams)

    async def add_up(self, day: dt.date, shard: int) -> None:
        """Add up the days of the window of `day` that are not yet; all their trades are settled."""
        done = tables.volume_day_done
        for each in window_days(day):
            async with self._engine.begin() as conn:
                await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_TIER_LOCK)))
                known = sa.select(done.c.day).where(done.c.day == each, done.c.shard == shard)
                if await conn.scalar(known) is not None:
                    continue
                first = await _first_at(conn, shard, start_of_day_us(each))
                last = await _first_at(conn, shard, start_of_day_us(each + dt.timedelta(days=1)))
                names = {"shard": shard, "first": first, "last": last}
                await conn.execute(_ADD_UP, {"day": each, **names})
                trades = int(await conn.scalar(_COUNT, names) or 0)
                await conn.execute(sa.insert(done).values(day=each, shard=shard, trades=trades))

    async def assess(self, day: dt.date) -> Assessed:
        """Write which tier each account has from `day` on; the first assessment of a day stands."""
        async with self._engine.begin() as conn:
            await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_TIER_LOCK)))
            done = tables.tier_day_done
            if await conn.scalar(sa.select(done.c.day).where(done.c.day == day)) is None:
                await self._assess(conn, day)
            rows = await conn.execute(
                sa.select(_D.c.tier, sa.func.count()).where(_D.c.day == day).group_by(_D.c.tier)
            )
            counts = {int(tier): int(count) for tier, count in rows}
        return Assessed(
            day=day.isoformat(),
            accounts=sum(counts.values()),
            tiers={str(tier): count for tier, count in sorted(counts.items()) if tier},
        )

    async def _assess(self, conn: AsyncConnection, day: dt.date) -> None:
        assets = await _assets(conn)
        worths = await _worths(conn, assets, start_of_day_us(day))
        reference = next((a for a in assets.values() if a.code == REFERENCE_ASSET), None)
        unit = 1 if reference is None else 10**reference.engine_decimals
        traded: dict[int, dict[int, int]] = defaultdict(dict)
        window = {"first": window_days(day)[0], "day": day}
        for row in await conn.execute(_TRADED, window):
            traded[row.account_id][row.quote_asset_id] = int(row.units)
        rows = []
        for account_id, units in sorted(traded.items()):
            volume = volume_units(units, worths)
            tier = tier_of(volume, unit)
            rows.append(
                {"day": day, "customer_id": account_id, "volume_units": volume, "tier": tier}
            )
        if rows:
            await conn.execute(insert(_D), rows)
        shown = {
            assets[asset_id].code: [worth.numerator, worth.denominator]
            for asset_id, worth in sorted(worths.items())
        }
        await conn.execute(sa.insert(tables.tier_day_done).values(day=day, worths=shown))

    async def wanted_changes(self, day: dt.date, shard: int) -> dict[int, int]:
        """Return {account id: tier} where the shard has another one than `day` gives."""
        async with self._engine.connect() as conn:
            rows = await conn.execute(_TIERS_NOW, {"shard": shard})
            now = {row.account_id: row.tier for row in rows}
            query = sa.select(_D.c.customer_id, _D.c.tier).where(_D.c.day == day)
            wanted = {row.customer_id: row.tier for row in await conn.execute(query)}
        return {
            account_id: wanted.get(account_id, 0)
            for account_id in sorted(now.keys() | wanted.keys())
            if wanted.get(account_id, 0) != now.get(account_id, 0)
        }

    # ---- reading ------------------------------------------------------------------------------

    async def of_customer(self, customer_id: int) -> CustomerTier:
        """Return a customer's last assessed volume, and the tier that each shard charges."""
        tier = tables.account_tier
        async with reading(self._engine) as conn:
            day = await conn.scalar(sa.select(sa.func.max(tables.tier_day_done.c.day)))
            assessed = sa.select(_D).where(_D.c.customer_id == customer_id, _D.c.day == day)
            row = (await conn.execute(assessed)).one_or_none()
            tiers = await conn.execute(
                sa.select(tier.c.shard, tier.c.tier)
                .where(tier.c.account_id == customer_id)
                .ext(distinct_on(tier.c.shard))
                .order_by(tier.c.shard, tier.c.sequence.desc())
            )
            return CustomerTier(
                day="" if day is None else day.isoformat(),
                volume_units=0 if row is None else int(row.volume_units),
                tiers={int(shard): int(found) for shard, found in tiers},
            )

    async def day(self, day: dt.date | None) -> dict[str, Any] | None:
        """Return when and at which worths a day, or the newest, was assessed; None: it was not."""
        done = tables.tier_day_done
        query = sa.select(done).order_by(done.c.day.desc()).limit(1)
        if day is not None:
            query = query.where(done.c.day == day)
        async with self._engine.connect() as conn:
            row = (await conn.execute(query)).one_or_none()
        return None if row is None else {"day": row.day.isoformat(), "worths": row.worths}

    async def customers(self, day: dt.date) -> list[dict[str, Any]]:
        """Return the customers that a day's assessment found, by volume."""
        query = (
            sa.select(_D, tables.customer.c.name)
            .join(tables.customer, tables.customer.c.customer_id == _D.c.customer_id, isouter=True)
            .where(_D.c.day == day)
            .order_by(_D.c.volume_units.desc(), _D.c.customer_id)
        )
        async with self._engine.connect() as conn:
            return [
                {
                    "customer_id": row.customer_id,
                    "name": row.name,
                    "volume_units": int(row.volume_units),
                    "tier": row.tier,
                }
                for row in await conn.execute(query)
            ]


async def _first_at(conn: AsyncConnection, shard: int, time_us: int) -> int:
    """Return a sequence that parts the trades before `time_us` from those at or after it.

    Engine time never goes back, so the rows are sorted by time, too: some forty look-ups.
    """
    last = int(
        await conn.scalar(
            sa.select(_T.c.sequence)
            .where(_T.c.shard == shard)
            .order_by(_T.c.sequence.desc())
            .limit(1)
        )
        or 0
    )
    low, high = 0, last + 1  # trades below `low` are before, those from `high` on are not
    while low < high:
        middle = (low + high) // 2
        found = (
            await conn.execute(_FIRST_FROM, {"shard": shard, "sequence": middle})
        ).one_or_none()
        if found is None or found.time_us >= time_us:
            high = middle
        else:
            low = found.sequence + 1
    return low


async def _assets(conn: AsyncConnection) -> dict[int, Asset]:
    return {
        row.asset_id: Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals)
        for row in await conn.execute(sa.select(tables.asset))
    }


async def _worths(
    conn: AsyncConnection, assets: Mapping[int, Asset], before_us: int
) -> dict[int, Worth]:
    """Return what each asset counts: by the last close of its market against the reference."""
    worths = {a.asset_id: SAME for a in assets.values() if a.code == REFERENCE_ASSET}
    for row in await conn.execute(sa.select(tables.instrument)):
        market = instrument_of_row(row, assets)
        if market.quote.code != REFERENCE_ASSET:
            continue
        names = {"symbol_id": market.symbol_id, "before": before_us}
        close = await conn.scalar(_LAST_CLOSE, names)
        if close is not None:
            worths[market.base.asset_id] = worth_at(
                int(close), market.quote_units_per_tick_lot, market.base_units_per_lot
            )
    return worths
