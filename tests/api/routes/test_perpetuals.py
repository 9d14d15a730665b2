"""Perpetual markets over REST: positions, margin, funding, the insurance fund."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from domain.order import Side
from domain.perpetual_record import PastFunding
from domain.risk_commands import FUND_ACCOUNT, Freeze, TopUpFund
from tests.api.memory import ALICE, USDT
from tests.api.perpetual_exchange import ETH_PERP, MIDDLE, PerpetualExchange

SYMBOL = "ETH/USDT-PERP"


@pytest_asyncio.fixture
async def perps() -> AsyncIterator[PerpetualExchange]:
    """Give an exchange whose perpetual trades."""
    made = PerpetualExchange()
    yield made
    await made.http.aclose()


async def leverage(perps: PerpetualExchange, wanted: int, key_id: str = "key-1") -> Any:
    return await perps.call(
        "POST", "/v1/leverage", {"symbol": SYMBOL, "leverage": wanted}, key_id=key_id
    )


async def test_markets_say_what_a_perpetual_is(perps: PerpetualExchange) -> None:
    """Kind, brackets, leverage and funding terms; a spot market has none of it."""
    listed = (await perps.http.get("/v1/markets")).json()["markets"]
    spot, perpetual = listed
    assert (spot["kind"], spot["perpetual"]) == ("spot", None)
    assert (perpetual["symbol"], perpetual["kind"]) == (SYMBOL, "perpetual")
    terms = perpetual["perpetual"]
    assert terms["brackets"][1] == {
        "floor": "50000",
        "maintenance_ppm": 20_000,
        "initial_ppm": 40_000,
    }
    assert (terms["max_leverage"], terms["funding_interval_seconds"]) == (50, 3_600)
    assert terms["funding_cap_ppm"] == 7_500  # 0.75 x (2 % - 1 %)


async def test_a_position_is_shown_with_its_margin(perps: PerpetualExchange) -> None:
    """What is shown is what the engine counts, and its prices are where it would end."""
    chosen = await leverage(perps, 10)
    assert chosen.json() | {"sequence": 0, "time_us": 0} == {
        "symbol": SYMBOL, "leverage": 10, "previous_leverage": 1, "sequence": 0, "time_us": 0,
    }  # fmt: skip
    placed = await perps.perpetual(quantity="10")
    assert (placed.status_code, placed.json()["status"]) == (201, "filled"), placed.text
    fills = [(one["price"], one["quantity"], one["fee"]) for one in placed.json()["fills"]]
    assert fills == [("2500.2", "10", "12.501")]
    found = await perps.position()
    assert (found["symbol"], found["quantity"], found["mode"]) == (SYMBOL, "10", "cross")
    assert (found["leverage"], found["entry_price"], found["mark_price"]) == (10, "2500.2", "2500")
    assert (found["notional"], found["unrealised_profit"]) == ("25000", "-2")
    assert (found["initial_margin"], found["maintenance_margin"]) == ("2500", "250")
    # cash 10000 - fee 12.501; equity 2 less; the ratio is rounded up
    assert found["margin_ratio_ppm"] == -(-250 * 10**6 * 10**6 // 9_985_499_000)
    view = {one.symbol_id: one for one in perps.door.engine.positions(ALICE)}[7]
    assert found["liquidation_price"] == ETH_PERP.price_text(view.liquidation_ticks)
    assert float(found["bankruptcy_price"]) == pytest.approx(2500 - 998.55, abs=0.01)
    assert (found["adl_lights"], found["liquidating"]) == (None, False)
    assert (found["realised_profit"], found["margin_call"]) == ("0", False)
    perps.memory.lights[ALICE, 7] = 4
    perps.memory.realised_units[ALICE, 7] = -1_250_000
    found = await perps.position()
    assert (found["adl_lights"], found["realised_profit"]) == (4, "-1.25")
    perps.memory.away = True
    assert (await perps.position())["realised_profit"] is None  # the rest does not need PostgreSQL
    backing = (await perps.call("GET", "/v1/positions")).json()["cross"]
    assert [one["cash"] for one in backing] == ["9987.499"]
    assert backing[0]["required_margin"] == "2500"


async def test_an_unlawful_leverage_is_told_the_range(perps: PerpetualExchange) -> None:
    """The engine refuses, and the answer says what the market takes."""
    refused = await leverage(perps, 51)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_leverage")
    assert "from 1 to 50" in refused.json()["detail"]
    spot = await perps.call("POST", "/v1/leverage", {"symbol": "ETH/USDT", "leverage": 2})
    assert (spot.status_code, spot.json()["code"]) == (422, "not_a_perpetual")


async def test_reduce_only_and_close_position(perps: PerpetualExchange) -> None:
    """They close what there is, and mean nothing on a spot market or without a position."""
    nothing = await perps.perpetual(side="sell", reduce_only=True)
    assert nothing.json()["code"] == "nothing_to_reduce"
    await leverage(perps, 10)
    await perps.perpetual(quantity="2")
    part = await perps.perpetual(side="sell", quantity="5", reduce_only=True)
    assert (part.json()["filled_quantity"], part.json()["reduce_only"]) == ("2", True)
    await perps.perpetual(quantity="3")
    closed = await perps.perpetual(side="sell", quantity=..., close_position=True)
    assert closed.status_code == 201, closed.text
    assert (closed.json()["filled_quantity"], closed.json()["close_position"]) == ("3", True)
    assert (await perps.position())["quantity"] == "0"
    spot = await perps.place(reduce_only=True)
    assert "perpetuals" in spot.json()["detail"]
    named = await perps.perpetual(side="sell", close_position=True)
    assert "names no quantity" in named.json()["detail"]
    limited = await perps.perpetual(
        side="sell", type="limit", price="2500", quantity=..., close_position=True
    )
    assert "stop or take-profit" in limited.json()["detail"]


async def test_reduce_only_in_batches_and_histories(perps: PerpetualExchange) -> None:
    """A batch knows it, and so do the open order and the history."""
    await leverage(perps, 10)
    await perps.perpetual(quantity="2")
    operation = {
        "op": "place", "symbol": SYMBOL, "side": "sell", "price": "2600", "quantity": "1",
        "reduce_only": True, "client_order_id": "out",
    }  # fmt: skip
    answer = await perps.call("POST", "/v1/orders/batch", {"operations": [operation]})
    assert answer.json()["results"][0]["order"]["reduce_only"] is True, answer.text
    (listed,) = (await perps.call("GET", "/v1/orders")).json()["orders"]
    assert listed["reduce_only"] is True
    perps.follow()
    history = (await perps.call("GET", "/v1/orders?state=all")).json()["orders"]
    assert [order["reduce_only"] for order in history] == [True, False]


async def test_isolated_margin_moves_once(perps: PerpetualExchange) -> None:
    """Chosen while flat; moved under a name once; another move of that name is a conflict."""
    mode = {"symbol": SYMBOL, "mode": "isolated"}
    assert (await perps.call("POST", "/v1/margin-mode", mode)).json()["mode"] == "isolated"
    move = {
        "symbol": SYMBOL,
        "direction": "in",
        "amount": "500",
        "move_id": "first",
        "created_at_us": perps.door.time_us,
    }
    moved = await perps.call("POST", "/v1/margin", move)
    assert (moved.status_code, moved.json()["margin"]) == (200, "500"), moved.text
    again = await perps.call("POST", "/v1/margin", move)
    assert (again.json()["duplicate"], again.json()["margin"]) == (True, None)
    other = await perps.call("POST", "/v1/margin", move | {"amount": "501"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    await leverage(perps, 10)
    await perps.perpetual(quantity="1")
    found = await perps.position()
    assert (found["mode"], found["margin"]) == ("isolated", "498.7499")
    busy = await perps.call("POST", "/v1/margin-mode", mode | {"mode": "cross"})
    assert (busy.status_code, busy.json()["code"]) == (409, "position_open")
    out = move | {"direction": "out", "amount": "400", "move_id": "second"}
    refused = await perps.call("POST", "/v1/margin", out)
    assert refused.json()["code"] == "insufficient_funds"
    assert "may leave where it is" in refused.json()["detail"]


@pytest.mark.parametrize("amount", ["0", "-1", "1e3", "0.0000001"])
async def test_a_hostile_amount_is_named(perps: PerpetualExchange, amount: str) -> None:
    """Nothing but a positive plain number reaches the engine."""
    body = {
        "symbol": SYMBOL, "direction": "in", "amount": amount, "move_id": "m", "created_at_us": 1,
    }  # fmt: skip
    sequence = perps.door.engine.sequence
    answer = await perps.call("POST", "/v1/margin", body)
    assert answer.status_code == 422
    assert perps.door.engine.sequence == sequence


async def test_a_dry_run_previews_the_margin(perps: PerpetualExchange) -> None:
    """What it says of position and margin is what there is after the order was placed."""
    await leverage(perps, 10)
    order = {
        "symbol": SYMBOL, "side": "buy", "type": "limit", "price": "2500.2", "quantity": "10",
    }  # fmt: skip
    answer = await perps.call("POST", "/v1/orders/dry-run", order)
    assert answer.status_code == 200, answer.text
    told = answer.json()["margin"]
    assert (told["position"], told["leverage"], told["fee"]) == ("10", 10, "12.501")
    assert told["quantity"] == "10"
    assert (await perps.call("POST", "/v1/orders", order)).status_code == 201
    found = await perps.position()
    for name in ("initial_margin", "maintenance_margin", "liquidation_price"):
        assert told[name] == found[name], name
    out = order | {"side": "sell", "price": "2499", "quantity": "15", "reduce_only": True}
    told = (await perps.call("POST", "/v1/orders/dry-run", out)).json()["margin"]
    assert (told["quantity"], told["position"]) == ("10", "0")  # cut to what there is to close
    assert (told["initial_margin"], told["liquidation_price"]) == ("0", None)
    spot = {"symbol": "ETH/USDT", "side": "buy", "price": "2500", "quantity": "1"}
    answer = await perps.call("POST", "/v1/orders/dry-run", spot)
    assert answer.json()["margin"] is None


async def test_funding_now_and_before(perps: PerpetualExchange) -> None:
    """Mark, countdown by the exchange's clock, and the fundings that were paid, by pages."""
    perps.clock_ms = 1_700_000_100_000
    perps.memory.past_fundings = [
        PastFunding(time_us, number, 100 + number, 90, MIDDLE, 2)
        for number, time_us in enumerate((3_600_000_000, 7_200_000_000, 10_800_000_000))
    ]
    answer = await perps.http.get(f"/v1/funding?symbol={SYMBOL}&limit=2")
    assert answer.status_code == 200, answer.text
    now = answer.json()["now"]
    assert (now["state"], now["mark_price"], now["mark_is_fresh"]) == ("open", "2500", True)
    assert now["seconds_left"] == 3_600 - 1_700_000_100 % 3_600
    assert now["next_funding_us"] % 3_600_000_000 == 0
    rates = [one["rate_ppm"] for one in answer.json()["history"]]
    assert rates == [102, 101]
    rest = await perps.http.get(
        f"/v1/funding?symbol={SYMBOL}&limit=2&cursor={answer.json()['next']}"
    )
    assert [one["rate_ppm"] for one in rest.json()["history"]] == [100]
    spot = await perps.http.get("/v1/funding?symbol=ETH/USDT")
    assert spot.json()["code"] == "not_a_perpetual"


async def test_the_insurance_fund_is_public(perps: PerpetualExchange) -> None:
    """Its cash, without a signature."""
    top_up = TopUpFund(77, USDT.asset_id, USDT.engine_units("2500.5"), perps.door.time_us)
    perps.door.apply(top_up)
    assert perps.door.engine.account_balances(FUND_ACCOUNT)
    (fund,) = (await perps.http.get("/v1/insurance")).json()["funds"]
    assert (fund["cash"], fund["equity"], fund["positions"]) == ("2500.5", "2500.5", [])


async def test_liquidations_are_public_and_nameless(perps: PerpetualExchange) -> None:
    """The newest first; nobody is named."""
    feed = perps.services.hub.feed(SYMBOL)
    for number in range(3):
        feed.liquidations.append(
            {"how": "book", "side": "long", "quantity": "1", "price": "2400", "time_us": number,
             "sequence": number}
        )  # fmt: skip
    answer = await perps.http.get(f"/v1/liquidations?symbol={SYMBOL}&limit=2")
    assert [one["sequence"] for one in answer.json()["liquidations"]] == [2, 1]


async def test_orders_are_refused_for_margin_with_what_there_is(perps: PerpetualExchange) -> None:
    """Not enough margin is told as that, not as missing funds."""
    refused = await perps.perpetual(quantity="100")
    assert (refused.status_code, refused.json()["code"]) == (422, "insufficient_margin")
    perps.limit(ALICE, Side.BUY, MIDDLE - 100, 10)
    assert (await leverage(perps, 10)).status_code == 200


async def test_a_market_order_needs_what_it_meets(perps: PerpetualExchange) -> None:
    """At a high leverage it needs no more than a limit at the quote; too much of it is refused."""
    assert (await leverage(perps, 50)).status_code == 200
    refused = await perps.perpetual(quantity="1000", type="market")
    assert refused.json()["code"] == "insufficient_margin"
    assert "at the prices of the orders that it meets" in refused.json()["detail"]
    assert (await perps.perpetual(quantity="60", type="market")).status_code == 201


async def test_a_margin_call_is_seen_before_a_liquidation(perps: PerpetualExchange) -> None:
    """Below 1.25 x maintenance margin the position and its backing say so."""
    await perps.overextend()
    assert (await perps.position())["margin_call"] is False
    perps.fall_to(12, 10)
    found = await perps.position()
    assert 800_000 < found["margin_ratio_ppm"] < 1_000_000
    (backing,) = (await perps.call("GET", "/v1/positions")).json()["cross"]
    assert (found["margin_call"], found["liquidating"]) == (True, False)
    assert (backing["margin_call"], backing["liquidating"]) == (True, False)
    perps.fall_to(9, 10)
    perps.door.apply(Freeze(77, ALICE, 0))
    assert (await perps.position())["liquidating"] is True
    refused = await perps.perpetual(quantity="1")
    assert (refused.status_code, refused.json()["code"]) == (409, "scope_frozen")


HOSTILE: list[tuple[str, dict[str, Any], int, str]] = [
    ("leverage", {"symbol": SYMBOL, "leverage": 0}, 422, "invalid_field"),
    ("leverage", {"symbol": SYMBOL, "leverage": -5}, 422, "invalid_field"),
    ("leverage", {"symbol": SYMBOL, "leverage": 10**30}, 422, "invalid_field"),
    ("leverage", {"symbol": SYMBOL, "leverage": "10"}, 422, "invalid_field"),
    ("leverage", {"symbol": SYMBOL, "leverage": 2.5}, 422, "invalid_field"),
    ("leverage", {"symbol": SYMBOL, "leverage": True}, 422, "invalid_field"),
    ("leverage", {"symbol": SYMBOL, "leverage": 2, "account_id": 2}, 422, "invalid_field"),
    ("leverage", {"symbol": "XAU/USDT-PERP", "leverage": 2}, 404, "unknown_symbol"),
    ("margin-mode", {"symbol": SYMBOL, "mode": "portfolio"}, 422, "invalid_field"),
    ("margin-mode", {"symbol": "ETH/USDT", "mode": "cross"}, 422, "not_a_perpetual"),
    ("margin", {"amount": "5", "direction": "up"}, 422, "invalid_field"),
    ("margin", {"amount": 5}, 422, "invalid_field"),
    ("margin", {"amount": "5", "move_id": ""}, 422, "invalid_field"),
    ("margin", {"amount": "5", "move_id": "a b"}, 422, "invalid_field"),
    ("margin", {"amount": "5", "created_at_us": -1}, 422, "invalid_field"),
    ("margin", {"amount": "9" * 60}, 422, "invalid_number"),
    ("margin", {"amount": "5", "symbol": "ETH/USDT"}, 422, "not_a_perpetual"),
    ("margin", {"amount": "5"}, 409, "not_isolated"),
    ("orders", {"quantity": "0"}, 422, "invalid_quantity"),
    ("orders", {"quantity": "-1"}, 422, "invalid_number"),
    ("orders", {"quantity": "1e3"}, 422, "invalid_number"),
    ("orders", {"quantity": "0.0001"}, 422, "invalid_quantity"),
    ("orders", {"quantity": "9" * 40}, 422, "invalid_number"),
    ("orders", {"quantity": "1000.001"}, 422, "quantity_too_large"),
    ("orders", {"quote_amount": "100"}, 422, "invalid_combination"),
    ("orders", {"close_position": True, "post_only": True}, 422, "invalid_combination"),
    ("orders", {"close_position": "yes"}, 422, "invalid_field"),
    ("orders", {"close_position": True}, 422, "nothing_to_reduce"),
]


@pytest.mark.parametrize(("path", "body", "status", "code"), HOSTILE)
async def test_hostile_bodies_are_refused_by_name(
    perps: PerpetualExchange, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    """Each with its own code; no position and no cash has changed afterwards."""
    usual: dict[str, dict[str, Any]] = {
        "margin": {
            "symbol": SYMBOL, "direction": "in", "move_id": "m",
            "created_at_us": perps.door.time_us,
        },
        "orders": {"symbol": SYMBOL, "side": "buy", "type": "market"},
    }  # fmt: skip
    before = perps.door.engine.account_balances(ALICE)
    answer = await perps.call("POST", f"/v1/{path}", usual.get(path, {}) | body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert perps.door.engine.account_balances(ALICE) == before
    assert all(one.lots == 0 for one in perps.door.engine.positions(ALICE))


async def test_positions_are_ones_own(perps: PerpetualExchange) -> None:
    """Bob cannot see, close or move what is Alice's; the same move id is another move for him."""
    mode = {"symbol": SYMBOL, "mode": "isolated"}
    move = {
        "symbol": SYMBOL, "direction": "in", "amount": "500", "move_id": "same",
        "created_at_us": perps.door.time_us,
    }  # fmt: skip
    for key_id in ("key-1", "key-2"):
        assert (await perps.call("POST", "/v1/margin-mode", mode, key_id=key_id)).is_success
    assert (await perps.call("POST", "/v1/margin", move)).json()["duplicate"] is False
    await perps.perpetual(quantity="0.1")
    hers = await perps.position()
    assert (await perps.position("key-2"))["quantity"] == "0"
    closed = await perps.perpetual("key-2", side="sell", quantity=..., close_position=True)
    assert closed.json()["code"] == "nothing_to_reduce"
    taken = await perps.call("POST", "/v1/margin", move | {"direction": "out"}, key_id="key-2")
    assert taken.json()["code"] == "insufficient_funds"
    assert (await perps.position()) | {"sequence": 0} == hers | {"sequence": 0}


async def test_a_brackets_exits_only_reduce(perps: PerpetualExchange) -> None:
    """The entry opens, the exits stand for what it filled, and can open nothing."""
    await leverage(perps, 10)
    body = {
        "kind": "bracket", "symbol": SYMBOL, "side": "buy", "quantity": "2", "entry": {},
        "take_profit": {"price": "2600"}, "stop_loss": {"trigger_price": "2400"},
    }  # fmt: skip
    answer = await perps.call("POST", "/v1/order-lists", body)
    assert answer.status_code == 201, answer.text
    entry, *exits = answer.json()["orders"]
    assert (entry["status"], entry["reduce_only"]) == ("filled", False)
    assert [(one["reduce_only"], one["status"]) for one in exits] == [(True, "open")] * 2
    await perps.perpetual(side="sell", quantity=..., close_position=True)
    assert (await perps.call("GET", "/v1/orders")).json()["orders"] == []
