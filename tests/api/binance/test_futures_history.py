"""What perpetuals have brought and what everybody may know of them, in the dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from domain.order import Side
from domain.order_record import FillRecord
from domain.perpetual_record import PastFunding, PositionEvent, PositionEventKind
from tests.api.binance.clients import ask
from tests.api.memory import ALICE, ETH_USDT
from tests.api.perpetual_exchange import ETH_PERP, PerpetualExchange

SECOND_US = 1_000_000


def fill(number: int, *, symbol_id: int = ETH_PERP.symbol_id, **fields: Any) -> FillRecord:
    """Return a sale of 2 ETH at 2500 in second `number`, that earned 3 and cost 2.5."""
    terms: dict[str, Any] = {
        "shard": 0,
        "sequence": number,
        "index": 1,
        "time_us": number * SECOND_US,
        "trade_id": number,
        "order_id": 100 + number,
        "symbol_id": symbol_id,
        "side": Side.SELL,
        "is_maker": False,
        "price_ticks": 250_000,
        "quantity_lots": 2_000,
        "quote_units": 5_000 * 10**6,
        "fee_units": 2_500_000,
        "realised_units": 3 * 10**6,
        "insurance_units": 0,
    }
    return FillRecord(**{**terms, **fields})


def event(number: int, kind: PositionEventKind, units: int) -> PositionEvent:
    """Return something that happened to a position in second `number`."""
    time_us = number * SECOND_US
    return PositionEvent(0, number, 2, time_us, kind, ETH_PERP.symbol_id, units, 1, False, None)


@pytest_asyncio.fixture
async def perps() -> AsyncIterator[PerpetualExchange]:
    """Give an exchange whose first customer has traded, been liquidated and paid funding."""
    made = PerpetualExchange()
    spot = fill(1, symbol_id=ETH_USDT.symbol_id, realised_units=None, insurance_units=None)
    forced = fill(4, realised_units=-7 * 10**6, insurance_units=400_000)
    made.memory.own_fills[ALICE] = [spot, fill(2), forced]
    made.memory.position_events[ALICE] = [
        event(3, PositionEventKind.FUNDING, -250_000),
        event(5, PositionEventKind.TAKEOVER, -9 * 10**6),
    ]
    yield made
    await made.http.aclose()


async def told(perps: PerpetualExchange, path: str, **fields: Any) -> Any:
    answer = await ask(perps, "GET", f"/fapi/v1/{path}", **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_own_trades(perps: PerpetualExchange) -> None:
    """Profit, fee and role are told, and nothing by which clients know a spot trade."""
    first, second = await told(perps, "userTrades", symbol="ETHUSDT")
    assert (first["id"], first["orderId"], first["side"]) == (2, 102, "SELL")
    assert (first["qty"], first["quoteQty"], first["price"]) == ("2", "5000", "2500")
    assert (first["realizedPnl"], first["commission"]) == ("3", "2.5")
    assert (first["maker"], first["buyer"], second["realizedPnl"]) == (False, False, "-7")
    assert {"M", "isMaker", "orderListId", "isIsolated"}.isdisjoint(first)


async def test_income(perps: PerpetualExchange) -> None:
    """Profits, fees, funding and the insurance fund, oldest first; spot fills are none of it."""
    rows = await told(perps, "income")
    assert [(one["time"] // 1_000, one["incomeType"], one["income"]) for one in rows] == [
        (2, "REALIZED_PNL", "3"),
        (2, "COMMISSION", "-2.5"),
        (3, "FUNDING_FEE", "-0.25"),
        (4, "REALIZED_PNL", "-7"),
        (4, "COMMISSION", "-2.5"),
        (4, "INSURANCE_CLEAR", "-0.4"),
        (5, "REALIZED_PNL", "-9"),
    ]
    assert len({(one["incomeType"], one["tranId"]) for one in rows}) == len(rows)
    (funding,) = await told(perps, "income", incomeType="FUNDING_FEE", symbol="ETHUSDT")
    assert (funding["asset"], funding["symbol"], funding["tradeId"]) == ("USDT", "ETHUSDT", "")
    assert await told(perps, "income", incomeType="WELCOME_BONUS") == []
    newest = await told(perps, "income", incomeType="REALIZED_PNL", limit=1)
    assert [one["income"] for one in newest] == ["-9"]
    oldest = await told(perps, "income", incomeType="REALIZED_PNL", limit=1, startTime=0)
    assert [one["income"] for one in oldest] == ["3"]
    between = await told(perps, "income", startTime=3_000, endTime=3_999)
    assert [one["incomeType"] for one in between] == ["FUNDING_FEE"]


async def test_own_liquidations(perps: PerpetualExchange) -> None:
    """A fill that paid to the insurance fund was one of a liquidation."""
    (found,) = await told(perps, "forceOrders", autoCloseType="LIQUIDATION")
    assert (found["orderId"], found["side"], found["executedQty"]) == (104, "SELL", "2")
    assert await told(perps, "forceOrders", autoCloseType="ADL") == []


async def test_fundings(perps: PerpetualExchange) -> None:
    """What was paid, oldest first, and when and at most how much is next."""
    perps.memory.past_fundings = [
        PastFunding(hour * 3_600 * SECOND_US, hour, 100 * hour, 0, 250_000, 1) for hour in (1, 2, 3)
    ]
    rows = await told(perps, "fundingRate", symbol="ETHUSDT", limit=2)
    assert [(one["fundingTime"], one["fundingRate"]) for one in rows] == [
        (7_200_000, "0.0002"),
        (10_800_000, "0.0003"),
    ]
    assert rows[0]["markPrice"] == "2500"
    first = await told(perps, "fundingRate", limit=1, startTime=0)
    assert [one["fundingTime"] for one in first] == [3_600_000]
    (terms,) = await told(perps, "fundingInfo")
    assert (terms["fundingIntervalHours"], terms["adjustedFundingRateCap"]) == (1, "0.0075")
    assert terms["adjustedFundingRateFloor"] == "-0.0075"


async def test_mark_and_open_interest(perps: PerpetualExchange) -> None:
    """Mark, index and the next funding, of one market or of all; what longs come to."""
    now = await told(perps, "premiumIndex", symbol="ETHUSDT")
    (same,) = await told(perps, "premiumIndex")
    assert {**now, "time": 0} == {**same, "time": 0}
    assert (now["indexPrice"], now["interestRate"]) == ("2500", "0.0001")
    assert now["nextFundingTime"] % 3_600_000 == 0
    assert now["nextFundingTime"] > now["time"]
    assert (await told(perps, "openInterest", symbol="ETHUSDT"))["openInterest"] == "0"


async def test_books_and_tickers(perps: PerpetualExchange) -> None:
    """They have the members that futures have and spot has not, and not the others."""
    depth = await told(perps, "depth", symbol="ETHUSDT")
    assert {"E", "T"} < set(depth)
    ticker = await told(perps, "ticker/24hr", symbol="ETHUSDT")
    assert "bidQty" not in ticker
    assert "time" in await told(perps, "ticker/bookTicker", symbol="ETHUSDT")
    price = await ask(perps, "GET", "/fapi/v2/ticker/price", signed=False)
    assert [one["symbol"] for one in price.json()] == ["ETHUSDT"]
    assert await told(perps, "trades", symbol="ETHUSDT") == []


async def test_markets_say_all_that_clients_hold_to(perps: PerpetualExchange) -> None:
    """Every type that is taken is listed, and the market is a perpetual."""
    (market,) = (await told(perps, "exchangeInfo"))["symbols"]
    assert (market["contractType"], market["marginAsset"]) == ("PERPETUAL", "USDT")
    assert set(market["orderTypes"]) == {
        "LIMIT",
        "MARKET",
        "STOP",
        "STOP_MARKET",
        "TAKE_PROFIT",
        "TAKE_PROFIT_MARKET",
        "TRAILING_STOP_MARKET",
    }
