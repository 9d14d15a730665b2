"""An exchange of two shards: each order goes to its market's engine, answers come from both."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.ports import EngineAway
from domain.commands import Command, Credit, SetShardMode, SetSymbolState
from domain.events import Event
from domain.order import ShardMode, StateCause, SymbolState
from tests.api.exchange import Exchange, LocalDoor
from tests.api.memory import ALICE, ETH_USDT, USDT

BTC_ORDER = {"symbol": "BTC/USDT", "side": "buy", "price": "2500", "quantity": "0.1"}


@pytest.fixture
def second(exchange: Exchange) -> LocalDoor:
    """Give the door of a second shard, where alice has USDT."""
    door = exchange.add_shard()
    door.apply(Credit(99, ALICE, USDT.asset_id, 10**9, 1_700_000_000_000_000))
    return door


async def test_orders_go_to_their_markets_shard(exchange: Exchange, second: LocalDoor) -> None:
    """The order id tells the shard, and whoever has it finds and cancels the order there."""
    eth = (await exchange.place()).json()
    btc = (await exchange.place(**BTC_ORDER)).json()
    assert (int(eth["order_id"]) >> 48, int(btc["order_id"]) >> 48) == (0, 1)
    assert len(second.engine.open_orders(ALICE)) == 1
    for order in (eth, btc):
        found = (await exchange.call("GET", f"/v1/orders/{order['order_id']}")).json()
        assert found["symbol"] == order["symbol"]
        gone = await exchange.call("DELETE", f"/v1/orders/{order['order_id']}")
        assert gone.status_code == 200
    assert second.engine.open_orders(ALICE) == []
    beyond = await exchange.call("DELETE", f"/v1/orders/{2 << 48 | 1}")
    assert beyond.json()["code"] == "order_not_found"


async def test_open_orders_are_merged(exchange: Exchange, second: LocalDoor) -> None:
    """One list over both shards, in pages; of one market it asks that market's shard alone."""
    placed = [
        (await exchange.place(**fields)).json()
        for fields in ({}, BTC_ORDER, {"price": "2400"}, {**BTC_ORDER, "price": "2400"})
    ]
    page = (await exchange.call("GET", "/v1/orders?limit=3")).json()
    rest = (await exchange.call("GET", f"/v1/orders?limit=3&cursor={page['next']}")).json()
    newest = sorted(((o["time_us"], int(o["order_id"])) for o in placed), reverse=True)
    assert [int(o["order_id"]) for o in page["orders"] + rest["orders"]] == [o for _, o in newest]
    second.failure = EngineAway("played")
    assert (await exchange.call("GET", "/v1/orders")).status_code == 503
    eth = await exchange.call("GET", "/v1/orders?symbol=ETH/USDT")
    assert [order["symbol"] for order in eth.json()["orders"]] == ["ETH/USDT"] * 2


async def test_an_order_is_found_by_its_client_id_on_any_shard(
    exchange: Exchange, second: LocalDoor
) -> None:
    """Also while another shard is away; only where nobody knows it that is worth a 503."""
    await exchange.place(**BTC_ORDER, client_order_id="b-1")
    exchange.door.failure = EngineAway("played")
    found = await exchange.call("GET", "/v1/orders?client_order_id=b-1")
    assert [order["symbol"] for order in found.json()["orders"]] == ["BTC/USDT"]
    assert (await exchange.call("GET", "/v1/orders?client_order_id=b-2")).status_code == 503


async def test_cancel_all_reaches_every_shard(exchange: Exchange, second: LocalDoor) -> None:
    """With a shard away the others' orders are cancelled all the same, and the answer says so."""
    for fields in ({}, BTC_ORDER):
        await exchange.place(**fields)
    exchange.door.failure = EngineAway("played")
    answer = await exchange.call("DELETE", "/v1/orders")
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
    assert [order["symbol"] for order in answer.json()["cancelled"]] == ["BTC/USDT"]
    exchange.door.failure = None
    answer = await exchange.call("DELETE", "/v1/orders")
    assert [order["symbol"] for order in answer.json()["cancelled"]] == ["ETH/USDT"]


async def test_a_shard_that_hangs_does_not_hold_up_the_others_cancels(
    exchange: Exchange, second: LocalDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants out is out of the other markets while one engine does not answer."""
    await exchange.place()
    await exchange.place(**BTC_ORDER)
    answers, cancelled = asyncio.Event(), asyncio.Event()
    first, other = exchange.door.submit, second.submit

    async def hang(command: Command) -> tuple[Event, ...]:
        await answers.wait()
        return await first(command)

    async def cancel(command: Command) -> tuple[Event, ...]:
        cancelled.set()
        return await other(command)

    monkeypatch.setattr(exchange.door, "submit", hang)
    monkeypatch.setattr(second, "submit", cancel)
    request = asyncio.create_task(exchange.call("DELETE", "/v1/orders"))
    async with asyncio.timeout(30):
        await cancelled.wait()
    assert len(exchange.door.engine.open_orders(ALICE)) == 1
    answers.set()
    assert len((await request).json()["cancelled"]) == 2


async def test_a_batch_over_both_shards(exchange: Exchange, second: LocalDoor) -> None:
    """Results keep the order of the operations; one shard's absence is no other's problem."""
    eth = {"op": "place", "symbol": "ETH/USDT", "side": "buy", "price": "2500", "quantity": "1"}
    operations: list[dict[str, Any]] = [
        {"op": "place", **BTC_ORDER},
        eth,
        {"op": "place", **BTC_ORDER},
    ]
    results = (await exchange.call("POST", "/v1/orders/batch", {"operations": operations})).json()
    symbols = [result["order"]["symbol"] for result in results["results"]]
    assert symbols == ["BTC/USDT", "ETH/USDT", "BTC/USDT"]
    second.failure = EngineAway("played")
    results = (await exchange.call("POST", "/v1/orders/batch", {"operations": operations})).json()
    assert [result["status"] for result in results["results"]] == [503, 201, 503]
    alone = await exchange.call("POST", "/v1/orders/batch", {"operations": operations[:1]})
    assert alone.status_code == 503


async def test_funds_on_the_other_shard_are_pointed_to(
    exchange: Exchange, second: LocalDoor
) -> None:
    """The refusal says where the money is, and how it gets here."""
    refused = (await exchange.place(**{**BTC_ORDER, "quantity": "3"})).json()
    assert refused["code"] == "insufficient_funds"
    assert refused["elsewhere"] == [{"shard": 0, "available": "10000"}]
    assert "10000 on shard 0" in refused["detail"]
    assert "/v1/transfers" in refused["detail"]
    poor = (await exchange.place("key-2", **{**BTC_ORDER, "side": "sell"})).json()
    assert poor["code"] == "insufficient_funds"
    assert "elsewhere" not in poor
    assert (poor["asset"], poor["shard"], poor["available"]) == ("BTC", 1, "0")


async def test_balances_are_of_all_shards(exchange: Exchange, second: LocalDoor) -> None:
    """What a customer has is the sum, and each shard's part is told."""
    balances = (await exchange.call("GET", "/v1/balances")).json()["balances"]
    usdt = next(balance for balance in balances if balance["asset"] == "USDT")
    assert usdt["available"] == "11000"
    parts = {part["shard"]: part["available"] for part in usdt["shards"]}
    assert parts == {0: "10000", 1: "1000"}


async def test_a_closed_shard_says_why(exchange: Exchange, second: LocalDoor) -> None:
    """Orders of its markets are refused with the registered code and the readable reason."""
    cause = StateCause.SETTLEMENT_BEHIND
    second.apply(SetShardMode(ShardMode.CANCEL_ONLY, cause, "engine", "settlement is behind"))
    refused = (await exchange.place(**BTC_ORDER)).json()
    assert (refused["code"], refused["cause"]) == ("shard_cancel_only", "settlement_behind")
    assert refused["detail"].endswith(": settlement is behind")
    assert (await exchange.place()).status_code == 201
    markets = (await exchange.http.get("/v1/markets")).json()["markets"]
    assert {market["symbol"]: market["state"] for market in markets} == {
        "ETH/USDT": "open",
        "BTC/USDT": "cancel_only",
    }


async def test_a_halted_market_says_why(exchange: Exchange, second: LocalDoor) -> None:
    """Cancels are refused as well while it is halted, with the operator's words."""
    order = (await exchange.place()).json()
    halt = SetSymbolState(ETH_USDT.symbol_id, SymbolState.HALTED, reason="a glitch in the feed")
    exchange.door.apply(halt)
    place = {"op": "place", "symbol": "ETH/USDT", "side": "buy", "price": "1", "quantity": "1"}
    cancel = {"op": "cancel", "symbol": "ETH/USDT", "order_id": order["order_id"]}
    answer = await exchange.call("POST", "/v1/orders/batch", {"operations": [place, cancel]})
    for result in answer.json()["results"]:
        assert result["problem"]["code"] == "symbol_halted"
        assert result["problem"]["detail"] == "The market is halted: a glitch in the feed"
    assert (await exchange.place(**BTC_ORDER)).status_code == 201
    exchange.door.failure = EngineAway("played")
    markets = (await exchange.http.get("/v1/markets")).json()["markets"]
    assert [market["state"] for market in markets] == ["engine_away", "open"]
