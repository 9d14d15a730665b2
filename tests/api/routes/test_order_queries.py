"""Looking at orders over the API, against the real engine in the same process."""

from __future__ import annotations

import pytest

from tests.api.exchange import Exchange


async def test_open_orders_in_pages(exchange: Exchange) -> None:
    """Newest first; the cursor goes on where the page ended, whatever is placed meanwhile."""
    placed = [
        (await exchange.place(quantity="0.1", client_order_id=f"p{number}")).json()["order_id"]
        for number in range(5)
    ]
    page = (await exchange.call("GET", "/v1/orders?limit=2")).json()
    await exchange.place()
    rest = (await exchange.call("GET", f"/v1/orders?cursor={page['next']}")).json()
    seen = [order["order_id"] for order in page["orders"] + rest["orders"]]
    assert seen == placed[::-1]
    assert rest["next"] is None


@pytest.mark.parametrize("cursor", ["x", "AAAA", "%00", "a" * 200, "kqZmaWxsc5MBAgM"])
async def test_a_foreign_cursor_is_refused(exchange: Exchange, cursor: str) -> None:
    """Cursors of other endpoints and made-up ones are 400."""
    answer = await exchange.call("GET", f"/v1/orders?cursor={cursor}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_an_order_by_its_client_id(exchange: Exchange) -> None:
    """What a client asks after an unknown outcome."""
    await exchange.place(client_order_id="find-me")
    found = (await exchange.call("GET", "/v1/orders?client_order_id=find-me")).json()["orders"]
    missing = (await exchange.call("GET", "/v1/orders?client_order_id=nobody")).json()["orders"]
    assert ([order["client_order_id"] for order in found], missing) == (["find-me"], [])


async def test_the_history_adds_what_the_engine_does_not_know(exchange: Exchange) -> None:
    """Totals and the reason of the close come once the history says the same as the engine."""
    await exchange.place("key-2", side="sell", price="2500", quantity="0.4")
    order_id = (await exchange.place(client_order_id="mine")).json()["order_id"]
    live = (await exchange.call("GET", f"/v1/orders/{order_id}")).json()
    assert (live["filled_quantity"], live["filled_quote"], live["fee"]) == ("0.4", None, None)
    exchange.follow()
    for target in (f"/v1/orders/{order_id}", "/v1/orders?client_order_id=mine"):
        answer = (await exchange.call("GET", target)).json()
        whole = answer["orders"][0] if "orders" in answer else answer
        assert (whole["filled_quote"], whole["fee"], whole["average_price"]) == (
            "1000",
            "2",
            "2500",
        )
    await exchange.call("DELETE", f"/v1/orders/{order_id}")
    behind = (await exchange.call("GET", f"/v1/orders/{order_id}")).json()
    assert (behind["status"], behind["close_reason"]) == ("cancelled", None), "the engine's word"
    exchange.follow()
    closed = (await exchange.call("GET", f"/v1/orders/{order_id}")).json()
    assert (closed["close_reason"], closed["fee"]) == ("cancelled_by_user", "2")


async def test_an_order_is_seen_while_the_database_is_away(exchange: Exchange) -> None:
    """What the engine knows does not wait for what it does not."""
    order_id = (await exchange.place()).json()["order_id"]
    exchange.memory.away = True
    answer = await exchange.call("GET", f"/v1/orders/{order_id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "open")


async def test_closed_orders_tell_why(exchange: Exchange) -> None:
    """The history of all orders, newest first, with the reason of each close."""
    until = exchange.door.time_us + 1_000_000
    await exchange.place(time_in_force="gtd", expires_at_us=until, price="2400")
    exchange.door.wait(2)
    await exchange.place(price="2401")
    await exchange.call("POST", "/v1/dead-mans-switch", {"timeout_seconds": 1})
    exchange.door.wait(2)
    await exchange.place(price="2402")
    exchange.follow()
    found = (await exchange.call("GET", "/v1/orders?state=all")).json()["orders"]
    assert [(order["status"], order["close_reason"]) for order in found] == [
        ("open", None),
        ("cancelled", "dead_mans_switch"),
        ("expired", "time_expired"),
    ]
