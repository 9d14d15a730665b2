"""What positions and the insurance fund have been through, over REST."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from domain.margin_call import MarginCall
from domain.perpetual_record import FundChange, PositionEvent, PositionEventKind
from tests.api.memory import ALICE, BOB
from tests.api.perpetual_exchange import ETH_PERP, PerpetualExchange

SYMBOL = "ETH/USDT-PERP"


def event(
    number: int, kind: PositionEventKind, amount: int, *, other: bool = False
) -> PositionEvent:
    rate = -100 if kind is PositionEventKind.FUNDING else None
    return PositionEvent(
        0, number, 1, 1_000 * number, kind, ETH_PERP.symbol_id, amount, 1_500, other, rate
    )


@pytest_asyncio.fixture
async def perps() -> AsyncIterator[PerpetualExchange]:
    """Give an exchange whose customers have been through something."""
    made = PerpetualExchange()
    made.memory.position_events = {
        ALICE: [
            event(1, PositionEventKind.FUNDING, 375_000),
            event(2, PositionEventKind.FUNDING, -1),
            event(3, PositionEventKind.DELEVERAGING, 2_000_000, other=True),
        ],
        BOB: [event(3, PositionEventKind.DELEVERAGING, -9_000_000)],
    }
    yield made
    await made.http.aclose()


async def test_ones_own_events_newest_first_by_pages(perps: PerpetualExchange) -> None:
    """What was received or paid, in which role; another's are not there."""
    answer = await perps.call("GET", f"/v1/positions/history?symbol={SYMBOL}&limit=2")
    assert answer.status_code == 200, answer.text
    newest, second = answer.json()["events"]
    assert newest == {
        "symbol": SYMBOL, "kind": "deleveraging", "role": "counterparty", "amount": "2",
        "asset": "USDT", "quantity": "1.5", "funding_rate_ppm": None, "time_us": 3_000,
        "sequence": 3,
    }  # fmt: skip
    assert (second["kind"], second["amount"], second["role"]) == ("funding", "-0.000001", None)
    assert second["funding_rate_ppm"] == -100
    following = answer.json()["next"]
    rest = await perps.call(
        "GET", f"/v1/positions/history?symbol={SYMBOL}&limit=2&cursor={following}"
    )
    assert [one["amount"] for one in rest.json()["events"]] == ["0.375"]
    assert rest.json()["next"] is None
    his = await perps.call("GET", "/v1/positions/history", key_id="key-2")
    assert [one["role"] for one in his.json()["events"]] == ["liquidated"]


async def test_one_kind_alone(perps: PerpetualExchange) -> None:
    """The fundings that one paid; an unknown kind and another route's cursor are refused."""
    answer = await perps.call("GET", "/v1/positions/history?kind=funding")
    assert [one["sequence"] for one in answer.json()["events"]] == [2, 1]
    unknown = await perps.call("GET", "/v1/positions/history?kind=luck")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "invalid_field")
    spot = await perps.call("GET", "/v1/positions/history?symbol=ETH/USDT")
    assert spot.json()["code"] == "not_a_perpetual"
    for cursor in ("x", "gqdvcmRlcnOSAQI"):
        wrong = await perps.call("GET", f"/v1/positions/history?cursor={cursor}")
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_cursor")
    perps.memory.away = True
    away = await perps.call("GET", "/v1/positions/history")
    assert (away.status_code, away.json()["code"]) == (503, "store_unavailable")


async def test_the_funds_history_is_public(perps: PerpetualExchange) -> None:
    """Changes and cash after them, by pages; a shard without a fund is not found."""
    perps.memory.fund_history = [
        FundChange(7, 7_000, "funding", 2_500_000, 2_500_000),
        FundChange(9, 9_000, "settlement", -500_000, 2_000_000),
    ]
    answer = await perps.http.get("/v1/insurance/history?limit=1")
    assert answer.status_code == 200, answer.text
    (newest,) = answer.json()["changes"]
    assert newest == {"change": "-0.5", "cash": "2", "kind": "settlement", "time_us": 9_000}
    rest = await perps.http.get(f"/v1/insurance/history?limit=1&cursor={answer.json()['next']}")
    assert [one["cash"] for one in rest.json()["changes"]] == ["2.5"]
    nowhere = await perps.http.get("/v1/insurance/history?shard=9")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")


async def test_margin_calls_are_listed(perps: PerpetualExchange) -> None:
    """One's own, newest first, by pages; of the cross margin, or of a market."""
    perps.memory.calls.written = [
        MarginCall(0, ALICE, 0, 5, 5_000, 1_200_000, 1_000_000),
        MarginCall(0, ALICE, ETH_PERP.symbol_id, 9, 9_000, 0, 500_000),
        MarginCall(0, BOB, 0, 7, 7_000, 1, 1),
    ]
    answer = await perps.call("GET", "/v1/margin-calls?limit=1")
    assert answer.json()["margin_calls"] == [
        {
            "shard": 0, "symbol": SYMBOL, "asset": "USDT", "equity": "0",
            "maintenance_margin": "0.5", "margin_ratio_ppm": None, "time_us": 9_000, "sequence": 9,
        }
    ]  # fmt: skip
    rest = await perps.call("GET", f"/v1/margin-calls?limit=1&cursor={answer.json()['next']}")
    (older,) = rest.json()["margin_calls"]
    assert (older["symbol"], older["equity"], older["margin_ratio_ppm"]) == (None, "1.2", 833_334)
