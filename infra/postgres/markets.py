"""The listed markets and assets, and the stored market data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.candles import (
    MINUTE_SECONDS,
    SECOND_SECONDS,
    SECONDS_KEPT_US,
    Candle,
    without_holes,
)
from domain.fees import FeeRates
from domain.instrument import Asset, Instrument
from domain.market import AssetListing, Listings, Market
from domain.market_data import PublicTrade
from domain.order import Side
from domain.perpetual_terms import terms_of_record
from infra.postgres import tables
from infra.postgres.reading import reading, writing


class MarketStore:
    """Reads listings, candles and trades; writes candles."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def listings(self) -> Listings:
        """Return every market and asset."""
        async with reading(self._engine) as connection:
            asset_rows = (await connection.execute(sa.select(tables.asset))).all()
            market_rows = (await connection.execute(sa.select(tables.instrument))).all()
        assets = {row.asset_id: _asset_listing(row) for row in asset_rows}
        return Listings([_market(row, assets) for row in market_rows], list(assets.values()))

    async def candles(self, symbol_id: int, interval_seconds: int, limit: int) -> list[Candle]:
        """Return the newest candles, oldest first."""
        table = tables.candle
        query = (
            sa.select(table)
            .where(table.c.symbol_id == symbol_id, table.c.interval_seconds == interval_seconds)
            .order_by(table.c.open_time_us.desc())
            .limit(limit)
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [_candle(row) for row in reversed(rows)]

    async def combined_candles(
        self, symbol_id: int, interval_seconds: int, since_us: int, until_us: int
    ) -> list[Candle]:
        """Return candles of any interval, oldest first, made of the stored minutes.

        Only minutes that open in [since, until) count, so the first and last may be parts. Those
        of a second are stored themselves, for a day; ones without trades are filled in.
        """
        if interval_seconds == SECOND_SECONDS:
            return without_holes(
                await self._seconds(symbol_id, since_us, until_us), since_us, until_us
            )
        query = combined(symbol_id, interval_seconds, since_us, until_us)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [_candle(row) for row in rows]

    async def _seconds(self, symbol_id: int, since_us: int, until_us: int) -> list[Candle]:
        """Return the stored seconds of [since, until), the one before and the one after."""
        table = tables.candle
        ours = (table.c.symbol_id == symbol_id, table.c.interval_seconds == SECOND_SECONDS)
        opens_us = table.c.open_time_us
        before = sa.select(sa.func.max(opens_us)).where(*ours, opens_us < since_us)
        after = sa.select(sa.func.min(opens_us)).where(*ours, opens_us >= until_us)
        query = (
            sa.select(table)
            .where(
                *ours,
                opens_us >= sa.func.coalesce(before.scalar_subquery(), since_us),
                opens_us <= sa.func.coalesce(after.scalar_subquery(), until_us),
            )
            .order_by(opens_us)
        )
        async with reading(self._engine) as connection:
            return [_candle(row) for row in (await connection.execute(query)).all()]

    async def forget_seconds(self, symbol_id: int) -> None:
        """Delete a market's candles of a second that are a day older than its newest."""
        table = tables.candle
        ours = (table.c.symbol_id == symbol_id, table.c.interval_seconds == SECOND_SECONDS)
        newest = sa.select(sa.func.max(table.c.open_time_us)).where(*ours).scalar_subquery()
        statement = sa.delete(table).where(*ours, table.c.open_time_us < newest - SECONDS_KEPT_US)
        async with writing(self._engine) as connection:
            await connection.execute(statement)

    async def trades(self, symbol_id: int, limit: int) -> list[PublicTrade]:
        """Return the newest settled trades, newest first."""
        table = tables.trade_event
        query = (
            sa.select(table)
            .where(table.c.symbol_id == symbol_id)
            .order_by(table.c.sequence.desc(), table.c.index.desc())
            .limit(limit)
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [
            PublicTrade(
                symbol_id=row.symbol_id,
                trade_id=row.trade_id,
                sequence=row.sequence,
                time_us=row.time_us,
                taker_side=Side(row.taker_side),
                price_ticks=row.price_ticks,
                quantity_lots=row.quantity_lots,
            )
            for row in rows
        ]

    async def perpetuals(self, shard: int) -> set[int]:
        """Return the symbol ids of a shard's perpetual markets that are not delisted."""
        row = tables.instrument.c
        query = sa.select(row.symbol_id).where(
            row.shard == shard,
            row.perpetual.is_not(None),
            row.delisted_sequence.is_(None),
        )
        async with reading(self._engine) as connection:
            return set((await connection.execute(query)).scalars())

    async def cursor(self, stream: str) -> int:
        """Return the last sequence that `stream` has consumed; 0 at first."""
        query = sa.select(tables.cursor.c.last_sequence).where(tables.cursor.c.stream == stream)
        async with reading(self._engine) as connection:
            return (await connection.execute(query)).scalar() or 0

    async def store_candles(self, stream: str, sequence: int, candles: Sequence[Candle]) -> None:
        """Store whole candles and the cursor that they are true at, in one transaction."""
        async with writing(self._engine) as connection:
            if candles:
                await _upsert_candles(connection, candles)
            statement = insert(tables.cursor).values(stream=stream, last_sequence=sequence)
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["stream"],
                    set_={"last_sequence": sequence, "updated_at": sa.func.now()},
                )
            )


async def _upsert_candles(connection: AsyncConnection, candles: Sequence[Candle]) -> None:
    statement = insert(tables.candle)
    key = ("symbol_id", "interval_seconds", "open_time_us")
    names = [column.name for column in tables.candle.columns]
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(key),
            set_={name: statement.excluded[name] for name in names if name not in key},
        ),
        [{name: getattr(candle, name) for name in names} for candle in candles],
    )


def combined(symbol_id: int, interval_seconds: int, since_us: int, until_us: int) -> sa.Select[Any]:
    """Return the query of `MarketStore.combined_candles`; the range of minutes bounds its work."""
    minute = tables.candle.c
    step: sa.ColumnElement[int] = sa.literal_column(
        str(interval_seconds * 1_000_000)
    )  # in GROUP BY no parameter
    opens = minute.open_time_us - minute.open_time_us % step
    is_flat = minute.trade_count == 0  # it carries a price from before: it counts last
    firsts = aggregate_order_by(minute.open_ticks, is_flat, minute.open_time_us)
    lasts = aggregate_order_by(minute.close_ticks, is_flat, minute.open_time_us.desc())
    highest, lowest = sa.func.max(minute.high_ticks), sa.func.min(minute.low_ticks)
    ticks = sa.ARRAY(sa.BigInteger)
    return (
        sa.select(
            sa.literal(symbol_id).label("symbol_id"),
            sa.literal(interval_seconds).label("interval_seconds"),
            opens.label("open_time_us"),
            sa.func.array_agg(firsts, type_=ticks)[1].label("open_ticks"),
            sa.func.coalesce(highest.filter(~is_flat), highest).label("high_ticks"),
            sa.func.coalesce(lowest.filter(~is_flat), lowest).label("low_ticks"),
            sa.func.array_agg(lasts, type_=ticks)[1].label("close_ticks"),
            sa.func.sum(minute.base_units).label("base_units"),
            sa.func.sum(minute.quote_units).label("quote_units"),
            sa.func.sum(minute.trade_count).label("trade_count"),
            sa.func.max(minute.last_sequence).label("last_sequence"),
        )
        .where(
            minute.symbol_id == symbol_id,
            minute.interval_seconds == MINUTE_SECONDS,
            minute.open_time_us >= since_us,
            minute.open_time_us < until_us,
        )
        .group_by(opens)
        .order_by(opens)
    )


def _candle(row: Any) -> Candle:
    return Candle(
        symbol_id=row.symbol_id,
        interval_seconds=row.interval_seconds,
        open_time_us=row.open_time_us,
        open_ticks=row.open_ticks,
        high_ticks=row.high_ticks,
        low_ticks=row.low_ticks,
        close_ticks=row.close_ticks,
        base_units=int(row.base_units),
        quote_units=int(row.quote_units),
        trade_count=row.trade_count,
        last_sequence=row.last_sequence,
    )


def _asset_listing(row: Any) -> AssetListing:
    return AssetListing(
        asset=Asset(
            asset_id=row.asset_id,
            code=row.code,
            chain_decimals=row.chain_decimals,
            engine_decimals=row.engine_decimals,
        ),
        chain=row.chain,
        contract=row.contract,
        confirmations=row.confirmations,
        deposit_minimum=int(row.deposit_minimum),
        withdrawal_minimum=int(row.withdrawal_minimum),
        withdrawal_fee=int(row.withdrawal_fee),
        approval_above=int(row.approval_above),
    )


def _market(row: Any, assets: dict[int, AssetListing]) -> Market:
    pair = {number: listing.asset for number, listing in assets.items()}
    return Market(
        instrument=instrument_of_row(row, pair),
        shard=row.shard,
        listed_sequence=row.listed_sequence,
        delisted_sequence=row.delisted_sequence,
    )


def instrument_of_row(row: Any, assets: Mapping[int, Asset]) -> Instrument:
    """Return the market of a row of `instrument`."""
    return Instrument.listed(
        symbol_id=row.symbol_id,
        base=assets[row.base_asset_id],
        quote=assets[row.quote_asset_id],
        tick_size=row.tick_size,
        lot_size=row.lot_size,
        listing_price=row.listing_price,
        maker_fee_ppm=row.maker_fee_ppm,
        taker_fee_ppm=row.taker_fee_ppm,
        tier_fees=[FeeRates(*rates) for rates in row.tier_fees],
        max_taker_fee_ppm=row.max_taker_fee_ppm,
        band_ppm=row.band_ppm,
        max_order=row.max_order,
        max_open_orders=row.max_open_orders,
        max_position=row.max_position,
        terms=None if row.perpetual is None else terms_of_record(row.perpetual),
    )
