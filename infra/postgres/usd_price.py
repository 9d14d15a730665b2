"""What an asset is worth, as the exchange's own markets say it."""

from __future__ import annotations

from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.candles import MINUTE_SECONDS
from infra.postgres import tables

_USD = "USDT"


async def usd_price(connection: AsyncConnection, asset: str) -> Decimal | None:
    """Return the last price in USDT, which counts as the dollar; None without a market.

    Before the first trade it is the listing price.
    """
    if asset == _USD:
        return Decimal(1)
    instrument, candle = tables.instrument.c, tables.candle.c
    last = (
        sa.select(candle.close_ticks)
        .where(
            candle.symbol_id == instrument.symbol_id,
            candle.interval_seconds == MINUTE_SECONDS,
        )
        .order_by(candle.open_time_us.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = sa.select(instrument.tick_size, instrument.listing_price, last.label("close")).where(
        instrument.symbol == f"{asset}/{_USD}"
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    if row.close is None:
        return Decimal(row.listing_price)
    return Decimal(row.tick_size) * Decimal(row.close)
