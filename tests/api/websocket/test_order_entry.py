"""Orders over a WebSocket: REST's commands, refusals, limits and idempotency, in their order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.ports import EngineAway, EngineOutcomeUnknown
from api.websocket import order_entry
from api.websocket.line import CLOSE_TOO_MANY_REQUESTS
from tests.api.exchange import Exchange
from tests.api.websocket.trading import ORDER, Client, LogIn


async def test_an_order_lives_as_over_rest(exchange: Exchange, log_in: LogIn) -> None:
    """Placed, amended by client order id, cancelled: the answers are REST's."""
    client = await log_in()
    placed = await client.ask("place", **ORDER, client_order_id="mine")
    assert (placed["op"], placed["status"]) == ("result", 201)
    listed = (await exchange.call("GET", "/v1/orders?state=open")).json()["orders"]
    assert [one["order_id"] for one in listed] == [placed["result"]["order_id"]]
    assert placed["result"].keys() == listed[0].keys()
    named = {"symbol": "ETH/USDT", "client_order_id": "mine"}
    amended = await client.ask("amend", **named, quantity="0.5")
    assert (amended["status"], amended["result"]["quantity"]) == (200, "0.5")
    cancelled = await client.ask("cancel", **named)
    assert cancelled["result"]["status"] == "cancelled"
    gone = await client.ask("cancel", **named)
    assert (gone["op"], gone["code"]) == ("error", "order_not_found")
    assert gone["problem"]["status"] == 404


async def test_a_repeat_is_the_first_order(log_in: LogIn) -> None:
    """The same client order id is the same order; with another content it is refused."""
    client = await log_in()
    first = await client.ask("place", **ORDER, client_order_id="mine")
    again = await client.ask("place", **ORDER, client_order_id="mine")
    assert (again["status"], again["result"]["duplicate"]) == (200, True)
    assert again["result"]["order_id"] == first["result"]["order_id"]
    other = await client.ask("place", **{**ORDER, "quantity": "2"}, client_order_id="mine")
    assert other["code"] == "duplicate_client_order_id"
    unnamed = [await client.ask("place", **ORDER) for _ in range(2)]
    assert len({one["result"]["order_id"] for one in unnamed}) == 2


@pytest.mark.parametrize(
    "order",
    [
        {**ORDER, "price": "2500.001"},
        {**ORDER, "price": 2500},
        {**ORDER, "evil": 1},
        {**ORDER, "symbol": "NO/NO"},
        {**ORDER, "quantity": "100000"},
        {**ORDER, "price": "9000"},
        {**ORDER, "type": "market"},
        {"symbol": "ETH/USDT"},
    ],
)
async def test_refusals_are_those_of_rest(
    exchange: Exchange, log_in: LogIn, order: dict[str, Any]
) -> None:
    """Code and problem are the same, but for the place where a member was."""
    client = await log_in()
    for op, target in (("place", "/v1/orders"), ("dry_run", "/v1/orders/dry-run")):
        refused = await client.ask(op, **order)
        wanted = (await exchange.call("POST", target, order)).json()
        del wanted["request_id"]
        assert refused["op"] == "error"
        assert json.loads(json.dumps(refused["problem"]).replace("params.", "body.")) == wanted


async def test_a_batch_has_a_result_each(log_in: LogIn) -> None:
    """Twenty operations in one message, in their order; one refusal stops none of the others."""
    client = await log_in()
    small = {"op": "place", **ORDER, "quantity": "0.01"}
    places = [{**small, "client_order_id": f"c{number}"} for number in range(18)]
    wrong = {**small, "price": "0"}
    cancel = {"op": "cancel", "symbol": "ETH/USDT", "client_order_id": "c0"}
    found = await client.ask("batch", operations=[*places, wrong, cancel])
    statuses = [one["status"] for one in found["result"]["results"]]
    assert statuses == [201] * 18 + [422, 200]


async def test_lists_dry_runs_and_the_rest(exchange: Exchange, log_in: LogIn) -> None:
    """An OCO placed, tried out and cancelled; all orders cancelled; the switch set."""
    client = await log_in()
    oco = {
        "symbol": "ETH/USDT",
        "side": "sell",
        "quantity": "1",
        "take_profit": {"price": "2600"},
        "stop_loss": {"trigger_price": "2400"},
    }
    tried = await client.ask("dry_run_list", **oco)
    assert (tried["status"], tried["result"]["hold"]) == (200, "1")
    placed = await client.ask("place_list", **oco)
    assert placed["status"] == 201
    gone = await client.ask("cancel_list", order_list_id=placed["result"]["order_list_id"])
    assert len(gone["result"]["cancelled"]) == 2
    await client.ask("place", **ORDER)
    assert (await client.ask("cancel_all", side="sell"))["result"]["cancelled"] == []
    assert len((await client.ask("cancel_all"))["result"]["cancelled"]) == 1
    switch = await client.ask("dead_mans_switch", timeout_seconds=60)
    assert switch["result"]["deadline_us"] == exchange.door.time_us + 60_000_000


async def test_no_order_overtakes_another(log_in: LogIn) -> None:
    """What is asked at once is carried out in its order, also around what has to be waited for."""
    client = await log_in()
    for number in range(11, 21):
        order = {**ORDER, "quantity": "0.01", "client_order_id": f"n{number}"}
        await client.say(op="place", id=number, params=order)
        if number == 15:
            await client.say(op="cancel_all", id=99, params={})
    placed = [(await client.answer(number))["result"]["sequence"] for number in range(11, 21)]
    assert placed == sorted(placed)
    cancelled = (await client.answer(99))["result"]["cancelled"]
    assert len(cancelled) == 5
    assert placed[4] < cancelled[0]["sequence"] < placed[5]


async def test_who_may_not_is_refused(exchange: Exchange, log_in: LogIn) -> None:
    """Without a login nobody orders; a key that may only read does not; a revoked one no more."""
    stranger = Client(exchange.services)
    assert (await stranger.ask("place", **ORDER))["code"] == "missing_credentials"
    exchange.add_key(1, "reader", scopes="read")
    reader = await log_in("reader")
    assert (await reader.ask("place", **ORDER))["code"] == "missing_scope"
    client = await log_in()
    assert (await client.ask("place", **ORDER))["op"] == "result"
    exchange.add_key(1, "key-1", customer_status="withdraw_only")
    assert (await client.ask("place", **ORDER))["code"] == "account_not_active"
    assert (await client.ask("cancel_all"))["op"] == "result"
    del exchange.memory.keys["key-1"]
    assert (await client.ask("place", **ORDER))["code"] == "bad_signature"


async def test_a_defect_is_answered_and_the_lane_goes_on(
    exchange: Exchange, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails before an order is carried out, its client hears of it, and may go on."""
    client = await log_in()

    async def broken(_: str) -> None:
        raise RuntimeError("played")

    with monkeypatch.context() as patched:
        patched.setattr(exchange.memory, "find", broken)
        assert (await client.ask("place", **ORDER))["code"] == "internal_error"
    assert (await client.ask("place", **ORDER))["op"] == "result"


async def test_a_customers_class_is_that_of_now(exchange: Exchange, log_in: LogIn) -> None:
    """Who becomes a market maker has its limits on sockets that are open already."""
    client = await log_in()
    exchange.add_key(1, "key-1", rate_class="market_maker")
    batch = [{"op": "cancel", "symbol": "ETH/USDT", "order_id": "1"}] * 100
    for _ in range(6):
        assert (await client.ask("batch", operations=batch))["op"] == "result"


async def test_another_reaches_nothing_of_hers(exchange: Exchange, log_in: LogIn) -> None:
    """Whatever takes an identifier does not find hers; what takes none leaves hers alone."""
    placed = (await exchange.place(client_order_id="hers")).json()
    stranger = await log_in("key-2")
    for named in ({"order_id": placed["order_id"]}, {"client_order_id": "hers"}):
        names = {"symbol": "ETH/USDT", **named}
        for op, params in (
            ("cancel", names),
            ("amend", {**names, "quantity": "0.5"}),
            ("batch", {"operations": [{"op": "cancel", **names}]}),
        ):
            found = await stranger.ask(op, **params)
            code = found["code"] if op != "batch" else _first_code(found)
            assert code == "order_not_found", op
    gone = await stranger.ask("cancel_list", order_list_id=placed["order_id"])
    assert gone["code"] == "order_not_found"
    assert (await stranger.ask("cancel_all"))["result"]["cancelled"] == []
    listed = (await exchange.call("GET", "/v1/orders?state=open")).json()["orders"]
    assert [one["order_id"] for one in listed] == [placed["order_id"]]


def _first_code(batch: dict[str, Any]) -> str:
    return str(batch["result"]["results"][0]["problem"]["code"])


async def test_orders_are_charged_to_the_limits_of_rest(exchange: Exchange, log_in: LogIn) -> None:
    """One budget for both ways; what does not fit is refused with the time to wait."""
    client = await log_in()
    batch = [{"op": "cancel", "symbol": "ETH/USDT", "order_id": "1"}] * 20
    for _ in range(24):
        assert (await client.ask("batch", operations=batch))["op"] == "result"
    for _ in range(20):
        assert (await client.ask("place", **{**ORDER, "quantity": "0.01"}))["op"] == "result"
    refused = await client.ask("place", **ORDER)
    assert refused["code"] == "rate_limited"
    assert 1 <= refused["problem"]["retry_after_seconds"] <= 10
    assert (await exchange.place()).json()["code"] == "rate_limited"


async def test_what_is_in_flight_is_bounded(log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request more than may wait is refused by name, and the others are answered."""
    monkeypatch.setattr(order_entry, "LARGEST_IN_FLIGHT", 3)
    client = await log_in()
    for number in range(1, 6):
        await client.say(op="place", id=number, params={**ORDER, "quantity": "0.01"})
    answers = [await client.answer(number) for number in (2, 3, 4, 5)]
    assert [one.get("code", "result") for one in answers] == [
        *("result", "result"),
        *("too_many_in_flight", "too_many_in_flight"),
    ]


async def test_a_flood_of_refused_orders_ends_the_connection(log_in: LogIn) -> None:
    """What no shared limit counts is counted against the connection."""
    client = await log_in()
    for _ in range(600):
        await client.say(op="place", params={"symbol": 1})
    assert client._ended.is_set()
    assert client._goodbye[0] == CLOSE_TOO_MANY_REQUESTS


async def test_repeated_names_are_refused(exchange: Exchange, log_in: LogIn) -> None:
    """As in a body of REST: which of the two is meant is not guessed."""
    client = await log_in()
    order = json.dumps(ORDER)[:-1] + ', "price": "1"}'
    await client._answer(f'{{"op": "place", "id": 5, "params": {order}}}')
    assert (await client.answer(5))["code"] == "malformed_json"
    assert exchange.door.engine.open_orders(1, 0) == []


async def test_an_engine_that_is_away_is_said(exchange: Exchange, log_in: LogIn) -> None:
    """Nothing was sent, or nobody knows: as over REST."""
    client = await log_in()
    exchange.door.failure = EngineAway("played")
    assert (await client.ask("place", **ORDER))["problem"]["outcome"] == "nothing sent"
    exchange.door.failure = EngineOutcomeUnknown("played")
    found = await client.ask("place", **ORDER, client_order_id="lost")
    assert found["problem"]["outcome"] == "unknown"
    assert found["problem"]["client_order_id"] == "lost"
