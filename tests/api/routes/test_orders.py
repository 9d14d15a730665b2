"""Orders over the API, against the real engine in the same process."""

from __future__ import annotations

from typing import Any

import pytest

from api.ports import EngineAway, EngineOutcomeUnknown
from tests.api.exchange import Exchange


async def test_a_resting_order(exchange: Exchange) -> None:
    """The answer says what was accepted, in text, with the engine's sequence."""
    answer = await exchange.place(client_order_id="my-1", price="2499.50")
    assert answer.status_code == 201
    order = answer.json()
    assert order["status"] == "open"
    assert (order["price"], order["quantity"], order["filled_quantity"]) == ("2499.5", "1", "0")
    assert order["client_order_id"] == "my-1"
    assert order["sequence"] == exchange.door.engine.sequence


async def test_fills_are_in_the_answer(exchange: Exchange) -> None:
    """A taker learns price, quantity and fee of each fill from the answer itself."""
    await exchange.place(side="sell", price="2500", quantity="0.4")
    await exchange.place(side="sell", price="2501", quantity="1")
    order = (await exchange.place("key-2", price="2501", quantity="1")).json()
    assert order["status"] == "filled"
    assert [(fill["price"], fill["quantity"], fill["fee"]) for fill in order["fills"]] == [
        ("2500", "0.4", "2"),
        ("2501", "0.6", "3.0012"),
    ]
    assert (order["filled_quote"], order["fee"]) == ("2500.6", "5.0012")


async def test_a_market_order(exchange: Exchange) -> None:
    """No price; what cannot be filled at once expires."""
    await exchange.place(side="sell", price="2500", quantity="0.4")
    order = (await exchange.place("key-2", type="market", price=..., quantity="1")).json()
    assert (order["status"], order["filled_quantity"], order["price"]) == ("expired", "0.4", None)
    assert order["time_in_force"] == "ioc"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"symbol": "DOGE/USDT"}, 404, "unknown_symbol"),
        ({"symbol": "' OR 1=1 --"}, 404, "unknown_symbol"),
        ({"price": "2500.001"}, 422, "invalid_price"),
        ({"quantity": "0.00001"}, 422, "invalid_quantity"),
        ({"price": "0"}, 422, "invalid_price"),
        ({"quantity": "0"}, 422, "invalid_quantity"),
        ({"price": "-1"}, 422, "invalid_number"),
        ({"quantity": "-0.5"}, 422, "invalid_number"),
        ({"quantity": "1e3"}, 422, "invalid_number"),
        ({"price": "NaN"}, 422, "invalid_number"),
        ({"price": "Infinity"}, 422, "invalid_number"),
        ({"price": "0x10"}, 422, "invalid_number"),
        ({"price": " 2500"}, 422, "invalid_number"),
        ({"price": "2,500"}, 422, "invalid_number"),
        ({"price": "٢٥٠٠"}, 422, "invalid_number"),
        ({"quantity": "1" + "0" * 29}, 422, "overflow"),
        ({"quantity": "1" * 65}, 422, "invalid_field"),
        ({"quantity": "1001"}, 422, "quantity_too_large"),
        ({"price": "2800"}, 422, "price_outside_band"),
        ({"price": "2700", "quantity": "900"}, 422, "insufficient_funds"),
        ({"price": ...}, 422, "invalid_price"),
        ({"type": "market"}, 422, "invalid_combination"),
        ({"type": "market", "price": ..., "post_only": True}, 422, "invalid_combination"),
        ({"type": "market", "price": ..., "time_in_force": "gtc"}, 422, "invalid_combination"),
        ({"type": "market", "price": ...}, 422, "no_liquidity"),
        ({"time_in_force": "fok"}, 422, "fok_not_fillable"),
        ({"type": "stop"}, 422, "invalid_field"),
        ({"side": "BUY"}, 422, "invalid_field"),
        ({"client_order_id": "a b"}, 422, "invalid_field"),
        ({"client_order_id": "x" * 37}, 422, "invalid_field"),
        ({"client_order_id": ""}, 422, "invalid_field"),
    ],
)
async def test_refusals(exchange: Exchange, fields: dict[str, Any], status: int, code: str) -> None:
    """Each wrong order has its own code, and leaves nothing behind."""
    before = exchange.door.engine.account_balances(1)
    answer = await exchange.place(**fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert exchange.door.engine.account_balances(1) == before


async def test_post_only_does_not_take(exchange: Exchange) -> None:
    """A post-only order that would trade is refused whole."""
    await exchange.place(side="sell", price="2500")
    answer = await exchange.place("key-2", price="2500", post_only=True)
    assert answer.json()["code"] == "post_only_would_trade"


async def test_the_same_client_id_with_the_same_body_is_the_first_answer(
    exchange: Exchange,
) -> None:
    """A retry after a lost answer: 200, the same order as it is now, marked as a duplicate."""
    first = (await exchange.place(client_order_id="once")).json()
    await exchange.place("key-2", side="sell", quantity="0.25")
    again = await exchange.place(client_order_id="once")
    assert again.status_code == 200
    assert again.json()["duplicate"] is True
    assert again.json()["order_id"] == first["order_id"]
    assert again.json()["sequence"] == first["sequence"]
    assert again.json()["filled_quantity"] == "0.25"
    assert len(exchange.door.engine.open_orders(1)) == 1


@pytest.mark.parametrize(
    "other", [{"price": "2499"}, {"quantity": "2"}, {"side": "sell"}, {"post_only": True}]
)
async def test_the_same_client_id_with_another_body_is_a_conflict(
    exchange: Exchange, other: dict[str, Any]
) -> None:
    """An id names one order; the answer says which."""
    first = (await exchange.place(client_order_id="once")).json()
    again = await exchange.place(client_order_id="once", **other)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_client_order_id")
    assert again.json()["order_id"] == first["order_id"]


async def test_two_customers_may_use_the_same_client_id(exchange: Exchange) -> None:
    """Client order ids are scoped to the account."""
    answers = [await exchange.place(key, client_order_id="same") for key in ("key-1", "key-2")]
    assert [answer.status_code for answer in answers] == [201, 201]


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


async def test_cancel_and_cancel_again(exchange: Exchange) -> None:
    """The first cancel answers what was left, the second that there is nothing."""
    order_id = (await exchange.place()).json()["order_id"]
    await exchange.place("key-2", side="sell", quantity="0.3")
    first = await exchange.call("DELETE", f"/v1/orders/{order_id}")
    assert first.json()["status"] == "cancelled"
    assert first.json()["filled_quantity"] == "0.3"
    assert first.json()["remaining_quantity"] == "0.7"
    again = await exchange.call("DELETE", f"/v1/orders/{order_id}")
    assert (again.status_code, again.json()["code"]) == (404, "order_not_found")


@pytest.mark.parametrize("order_id", ["0", "abc", "-1", "1.0", "9" * 19, "9" * 30, "%00", "²"])
async def test_impossible_order_ids_are_not_found(exchange: Exchange, order_id: str) -> None:
    """Nothing but a positive 63-bit number names an order."""
    for method in ("GET", "DELETE"):
        answer = await exchange.call(method, f"/v1/orders/{order_id}")
        assert (answer.status_code, answer.json()["code"]) in (
            (404, "order_not_found"),
            (401, "bad_signature"),  # the path was not sent as it was signed
        )


async def test_cancel_all_of_one_market(exchange: Exchange) -> None:
    """Every open order is closed, in id order; another market would be left alone."""
    ids = [
        (await exchange.place(client_order_id=f"p{number}")).json()["order_id"]
        for number in range(3)
    ]
    answer = await exchange.call("DELETE", "/v1/orders?symbol=ETH-USDT")
    assert [order["order_id"] for order in answer.json()["cancelled"]] == ids
    assert exchange.door.engine.open_orders(1) == []


async def test_a_batch_in_order(exchange: Exchange) -> None:
    """Each operation has its own result, and later ones see what earlier ones did."""
    place = {"op": "place", "symbol": "ETH/USDT", "side": "buy", "quantity": "1"}
    answer = await exchange.call(
        "POST",
        "/v1/orders/batch",
        {
            "operations": [
                {**place, "price": "2500", "client_order_id": "b1"},
                {**place, "price": "2500.001"},
                {"op": "cancel", "symbol": "ETH/USDT", "client_order_id": "b1"},
                {"op": "cancel", "symbol": "ETH/USDT", "client_order_id": "b1"},
                {"op": "cancel", "symbol": "ETH/USDT"},
                {**place, "symbol": "NO/NO", "price": "1"},
                {**place, "price": "2499"},
            ]
        },
    )
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 422, 200, 404, 422, 404, 201]
    assert results[2]["cancelled"]["order_id"] == results[0]["order"]["order_id"]
    assert results[1]["problem"]["code"] == "invalid_price"


async def test_generated_ids_in_a_batch_are_distinct(exchange: Exchange) -> None:
    """Two equal operations of one batch are two orders; the batch replayed is the same two."""
    operation = {
        "op": "place", "symbol": "ETH/USDT", "side": "buy", "quantity": "1", "price": "2500",
    }  # fmt: skip
    body = (b'{"operations":[' + b",".join([str(operation).replace("'", '"').encode()] * 2)) + b"]}"
    headers = exchange.signed("POST", "/v1/orders/batch", body)
    first = await exchange.http.post("/v1/orders/batch", content=body, headers=headers)
    again = await exchange.http.post("/v1/orders/batch", content=body, headers=headers)
    assert [result["status"] for result in first.json()["results"]] == [201, 201]
    assert [result["status"] for result in again.json()["results"]] == [200, 200]
    assert len(exchange.door.engine.open_orders(1)) == 2


@pytest.mark.parametrize("count", [0, 21])
async def test_a_batch_has_1_to_20_operations(exchange: Exchange, count: int) -> None:
    """Nothing of a batch that is too long is carried out."""
    operation = {"op": "cancel", "symbol": "ETH/USDT", "client_order_id": "x"}
    answer = await exchange.call("POST", "/v1/orders/batch", {"operations": [operation] * count})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


async def test_an_engine_that_is_away(exchange: Exchange) -> None:
    """503, and the answer says that nothing was sent."""
    exchange.door.failure = EngineAway("played")
    answer = await exchange.place()
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
    assert answer.json()["outcome"] == "nothing sent"
    assert answer.json()["retryable"] is True


async def test_an_unknown_outcome(exchange: Exchange) -> None:
    """503 with the client order id under which the outcome can be asked for."""
    exchange.door.failure = EngineOutcomeUnknown("played")
    answer = await exchange.place()
    assert (answer.status_code, answer.json()["code"]) == (503, "outcome_unknown")
    assert answer.json()["outcome"] == "unknown"
    assert answer.json()["client_order_id"].startswith("g-")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/orders"),
        ("GET", "/v1/orders/1"),
        ("DELETE", "/v1/orders/1"),
        ("DELETE", "/v1/orders"),
        ("GET", "/v1/balances"),
    ],
)
async def test_every_engine_route_survives_its_absence(
    exchange: Exchange, method: str, target: str
) -> None:
    """An absent engine is 503 on every route that needs it."""
    exchange.door.failure = EngineAway("played")
    answer = await exchange.call(method, target)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
