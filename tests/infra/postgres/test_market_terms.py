"""The terms of a perpetual market: in its row before it is listed, then as the engine says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.events import RiskParametersSet, SymbolListed
from domain.perpetual_terms import terms_record
from infra.postgres import tables
from infra.postgres.market_rows import market_row, markets_at
from infra.postgres.markets import MarketStore
from infra.postgres.order_history_store import OrderHistoryStore
from tests.api.perpetual_exchange import ETH_PERP, TERMS

pytestmark = pytest.mark.servers


async def test_a_row_gives_the_market_back_and_follows_its_terms(database: AsyncEngine) -> None:
    """A perpetual is read as it was listed; a spot market's row has no terms."""
    async with database.begin() as conn:
        assets = {row.code: row.asset_id for row in await conn.execute(sa.select(tables.asset))}
        row = market_row(ETH_PERP)
        pair = {"base_asset_id": assets["ETH"], "quote_asset_id": assets["USDT"]}
        await conn.execute(sa.insert(tables.instrument).values(row | pair))
    found = (await MarketStore(database).listings()).market("ETH-USDT-PERP")
    assert found is not None
    assert found.instrument.terms == TERMS
    assert found.instrument.symbol == "ETH/USDT-PERP"
    harder = replace(TERMS, max_leverage=5)
    event = RiskParametersSet(1, 0, 1, ETH_PERP.symbol_id, harder)
    await OrderHistoryStore(database).apply(0, 1, 1, [], [event])
    found = (await MarketStore(database).listings()).market("ETH/USDT-PERP")
    assert found is not None
    assert found.instrument.terms == harder
    async with database.connect() as conn:
        spot = sa.select(tables.instrument.c.symbol_id).where(
            tables.instrument.c.perpetual.is_(None)
        )
        assert (await conn.execute(spot)).first() is not None


async def test_terms_are_part_of_the_markets_history(database: AsyncEngine) -> None:
    """The checker compares them with the engine's at any sequence, and the row with the newest."""
    market, harder = replace(ETH_PERP, symbol_id=77), replace(TERMS, max_leverage=5)
    async with database.begin() as conn:
        assets = {row.code: row.asset_id for row in await conn.execute(sa.select(tables.asset))}
        pair = {"base_asset_id": assets["ETH"], "quote_asset_id": assets["USDT"]}
        row = market_row(market) | pair | {"symbol": "ETH/USDT-PERP2"}
        await conn.execute(sa.insert(tables.instrument).values(row))
    rules = market.rules()
    listed = SymbolListed(
        sequence=1, index=0, time_us=1, **{name: getattr(rules, name) for name in rules.__slots__}
    )
    first = RiskParametersSet(1, 1, 1, 77, TERMS)
    later = RiskParametersSet(2, 0, 2, 77, harder)
    await OrderHistoryStore(database).apply(0, 1, 1, [], [listed, first])
    await OrderHistoryStore(database).apply(0, 2, 2, [], [later])
    async with database.connect() as conn:
        before, after = [await markets_at(conn, 0, sequence) for sequence in (1, 2)]
    assert before.at.markets[77][0]["terms"] == terms_record(TERMS)
    assert after.at.markets[77][0]["terms"] == terms_record(harder)
    assert after.now[77] == after.last[77] == after.at.markets[77][0]
    assert after.now[77]["band_ppm"] == rules.band_ppm
