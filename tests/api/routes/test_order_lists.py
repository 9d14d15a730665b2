"""OCO over the API, against the real engine in the same process."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.exchange import Exchange

OCO: dict[str, Any] = {
    "symbol": "ETH/USDT",
    "side": "sell",
    "quantity": "1",
    "take_profit": {"price": "2600"},
    "stop_loss": {"trigger_price": "2400"},
}
LISTS = "/v1/order-lists"


async def place(exchange: Exchange, **fields: Any) -> Any:
    """Place an OCO; `fields` replace those of `OCO`."""
    target = fields.pop("target", LISTS)
    return await exchange.call("POST", target, {**OCO, **fields})


async def look(exchange: Exchange, order_list_id: str, key_id: str = "key-1") -> Any:
    """Return a list as its owner sees it."""
    return await exchange.call("GET", f"{LISTS}/{order_list_id}", key_id=key_id)


def states(answer: dict[str, Any]) -> list[str]:
    """Return the state of each order."""
    return [order["status"] for order in answer["orders"]]


async def test_both_or_none(exchange: Exchange) -> None:
    """Two orders under one list, with one hold; each tells its list."""
    placed = await place(exchange)
    assert placed.status_code == 201
    answer = placed.json()
    first, second = answer["orders"]
    assert (answer["kind"], answer["status"], answer["duplicate"]) == ("oco", "open", False)
    assert (first["type"], first["post_only"], first["price"]) == ("limit", True, "2600")
    assert (second["type"], second["waiting"], second["trigger_price"]) == ("stop", True, "2400")
    assert {first["order_list_id"], second["order_list_id"]} == {answer["order_list_id"]}
    assert first["client_order_id"] != second["client_order_id"]
    lone = await exchange.place(target="/v1/orders/dry-run", side="sell", price="2600")
    balances = (await exchange.call("GET", "/v1/balances")).json()["balances"]
    (held,) = [each["in_orders"] for each in balances if each["asset"] == "ETH"]
    assert held == lone.json()["hold"] == "1"


async def test_a_fill_ends_the_stop(exchange: Exchange) -> None:
    """The list is open while the limit order is, and done with it; history tells the same."""
    answer = (await place(exchange)).json()
    await exchange.place("key-2", price="2600", quantity="0.4")
    found = (await look(exchange, answer["order_list_id"])).json()
    assert (found["status"], states(found)) == ("open", ["open", "expired"])
    await exchange.place("key-2", price="2600", quantity="0.6")
    exchange.follow()
    found = (await look(exchange, answer["order_list_id"])).json()
    assert (found["status"], states(found)) == ("done", ["filled", "expired"])
    assert [order["close_reason"] for order in found["orders"]] == ["filled", "order_list_done"]


async def test_the_trigger_ends_the_limit_order(exchange: Exchange) -> None:
    """The stop sells what the limit order had held."""
    answer = (await place(exchange)).json()
    await exchange.place("key-2", price="2400", quantity="1.1")
    await exchange.place(side="sell", price="2400", quantity="0.1")
    found = (await look(exchange, answer["order_list_id"])).json()
    assert (found["status"], states(found)) == ("done", ["expired", "filled"])


@pytest.mark.parametrize("which", [0, 1])
async def test_cancelling_one_cancels_both(exchange: Exchange, which: int) -> None:
    """By either order, which tells of the other."""
    answer = (await place(exchange)).json()
    ids = [order["order_id"] for order in answer["orders"]]
    gone = (await exchange.call("DELETE", f"/v1/orders/{ids[which]}")).json()
    assert (gone["order_id"], gone["also_cancelled"]) == (ids[which], [ids[1 - which]])
    assert exchange.door.engine.open_orders(1) == []


async def test_a_list_is_cancelled_by_its_id(exchange: Exchange) -> None:
    """Both orders, or the one that is left; afterwards, and of others, it is not found."""
    whole = (await place(exchange)).json()["order_list_id"]
    foreign = await exchange.call("DELETE", f"{LISTS}/{whole}", key_id="key-2")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "order_not_found")
    gone = (await exchange.call("DELETE", f"{LISTS}/{whole}")).json()["cancelled"]
    assert len(gone) == 2
    left = (await place(exchange)).json()["order_list_id"]
    await exchange.place("key-2", price="2600", quantity="0.4")
    (one,) = (await exchange.call("DELETE", f"{LISTS}/{left}")).json()["cancelled"]
    assert (one["order_id"], one["filled_quantity"]) == (left, "0.4")
    assert (await exchange.call("DELETE", f"{LISTS}/{left}")).status_code == 404
    plain = (await exchange.place(price="2450", quantity="0.1")).json()["order_id"]
    for wrong in (plain, "7777", "x", "9223372036854775807"):
        assert (await look(exchange, wrong)).json()["code"] == "order_not_found"


async def test_a_batch_cancels_both(exchange: Exchange) -> None:
    """The batch's result tells of the other order as well."""
    answer = (await place(exchange)).json()
    first, second = (order["order_id"] for order in answer["orders"])
    operation = {"op": "cancel", "symbol": "ETH/USDT", "order_id": first}
    batch = await exchange.call("POST", "/v1/orders/batch", {"operations": [operation]})
    (result,) = batch.json()["results"]
    assert result["cancelled"]["also_cancelled"] == [second]


async def test_a_repeat_is_the_first_answer_again(exchange: Exchange) -> None:
    """With the same ids and content; another content is a conflict and places nothing."""
    named = {
        "take_profit": {"price": "2600", "client_order_id": "up"},
        "stop_loss": {"trigger_price": "2400", "client_order_id": "down"},
    }
    first = (await place(exchange, **named)).json()
    await exchange.place("key-2", price="2600", quantity="0.4")
    again = await place(exchange, **named)
    assert again.status_code == 200
    found = again.json()
    assert (found["duplicate"], found["order_list_id"]) == (True, first["order_list_id"])
    assert states(found) == ["open", "expired"]
    assert {order["order_list_id"] for order in found["orders"]} == {first["order_list_id"]}
    other = await place(exchange, **{**named, "quantity": "0.5"})
    assert (other.status_code, other.json()["code"]) == (409, "duplicate_client_order_id")
    plain = await exchange.place(side="sell", price="2600", client_order_id="up", post_only=True)
    assert plain.json()["code"] == "duplicate_client_order_id"


async def test_an_amend_is_refused_while_both_are_open(exchange: Exchange) -> None:
    """With a code of its own; the one that is left is amended as usual."""
    answer = (await place(exchange)).json()
    target = f"/v1/orders/{answer['orders'][0]['order_id']}"
    refused = await exchange.call("PATCH", target, {"price": "2650"})
    assert (refused.status_code, refused.json()["code"]) == (409, "order_in_list")
    await exchange.place("key-2", price="2600", quantity="0.4")
    assert (await exchange.call("PATCH", target, {"price": "2650"})).status_code == 200


async def test_a_dry_run_tells_the_larger_hold(exchange: Exchange) -> None:
    """Not the sum, and nothing is placed."""
    buys = {
        "side": "buy",
        "take_profit": {"price": "2400"},
        "stop_loss": {"trigger_price": "2600", "price": "2610"},
    }
    dry = (await place(exchange, target=f"{LISTS}/dry-run", **buys)).json()
    alone = await exchange.place(
        target="/v1/orders/dry-run", type="stop_limit", price="2610", trigger_price="2600"
    )
    assert (dry["hold"], dry["hold_asset"]) == (alone.json()["hold"], "USDT")
    assert exchange.door.engine.open_orders(1) == []


async def test_two_that_wait_and_a_trailing_stop(exchange: Exchange) -> None:
    """A take-profit with its limit, and a stop that follows, until a date."""
    await exchange.place("key-2", price="2500", quantity="0.1")
    await exchange.place(side="sell", price="2500", quantity="0.1")
    answer = (
        await place(
            exchange,
            take_profit={"trigger_price": "2600", "price": "2590"},
            stop_loss={"trailing_offset": "50"},
            time_in_force="gtd",
            expires_at_us=2**62,
        )
    ).json()
    first, second = answer["orders"]
    assert (first["type"], first["waiting"], first["price"]) == ("take_profit_limit", True, "2590")
    assert (second["type"], second["trailing_offset"]) == ("trailing_stop", "50")
    assert {first["expires_at_us"], second["expires_at_us"]} == {2**62}


@pytest.mark.parametrize(
    ("fields", "code", "order"),
    [
        ({"take_profit": {}}, "invalid_price", "take_profit"),
        ({"take_profit": {"price": "2600.001"}}, "invalid_price", "take_profit"),
        ({"stop_loss": {}}, "invalid_trigger", "stop_loss"),
        ({"stop_loss": {"trailing_offset": "5", "price": "1"}}, "invalid_combination", "stop_loss"),
        (
            {"stop_loss": {"trailing_offset": "5", "trigger_price": "2400"}},
            "invalid_combination",
            "stop_loss",
        ),
        ({"time_in_force": "gtd"}, "invalid_combination", "take_profit"),
        ({"quantity": "0"}, "invalid_quantity", "take_profit"),
        ({"take_profit": {"price": "2500"}}, "post_only_would_trade", "take_profit"),
        ({"stop_loss": {"trigger_price": "2510"}}, "would_trigger_immediately", "stop_loss"),
        ({"stop_loss": {"trigger_price": "9000"}}, "would_trigger_immediately", "stop_loss"),
        ({"quantity": "1001"}, "quantity_too_large", "take_profit"),
        (
            {
                "side": "buy",
                "quantity": "999",
                "take_profit": {"price": "2300"},
                "stop_loss": {"trigger_price": "2600"},
            },
            "insufficient_funds",
            "take_profit",
        ),
        ({"kind": "bracket"}, "invalid_field", None),
        ({"kind": "ladder"}, "invalid_field", None),
        ({"entry": {"price": "2500"}}, "invalid_field", None),
        ({"take_profit": None}, "invalid_field", None),
        ({"quantity": 1}, "invalid_field", None),
        ({"symbol": "NO/NO"}, "unknown_symbol", None),
    ],
)
async def test_refusals(
    exchange: Exchange, fields: dict[str, Any], code: str, order: str | None
) -> None:
    """The order at fault is named, dry or not, and nothing is held afterwards."""
    await exchange.place("key-2", price="2500", quantity="0.2")
    await exchange.place(side="sell", price="2500", quantity="0.1")
    before = exchange.door.engine.account_balances(1)
    for target in (LISTS, f"{LISTS}/dry-run"):
        problem = (await place(exchange, target=target, **fields)).json()
        assert (problem["code"], problem.get("order")) == (code, order), problem
    assert exchange.door.engine.account_balances(1) == before
    assert exchange.door.engine.open_orders(1) == []


async def test_prices_that_are_crossed(exchange: Exchange) -> None:
    """Without a last price each could stand alone; together they are a slip."""
    crossed = await place(exchange, stop_loss={"trigger_price": "2600"})
    assert (crossed.status_code, crossed.json()["code"]) == (422, "list_prices_crossed")
