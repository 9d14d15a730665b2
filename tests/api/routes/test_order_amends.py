"""Amending orders over the API, against the real engine in the same process."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.exchange import Exchange


async def depth(exchange: Exchange) -> Any:
    """Return the book as (price in ticks, lots)."""
    return exchange.door.engine.book(1, 9)


async def test_less_keeps_its_place(exchange: Exchange) -> None:
    """A smaller quantity at the same price stays in front of those behind it."""
    first = await exchange.place(quantity="2")
    await exchange.place(quantity="1")
    amended = await exchange.amend(first, quantity="1.5")
    assert amended.status_code == 200
    answer = amended.json()
    assert (answer["quantity"], answer["previous_quantity"], answer["kept_place"]) == (
        "1.5",
        "2",
        True,
    )
    await exchange.place("key-2", side="sell", quantity="1.5")
    looked = await exchange.call("GET", f"/v1/orders/{first.json()['order_id']}")
    assert looked.json()["status"] == "filled"


async def test_a_new_price_goes_to_the_end_and_may_trade(exchange: Exchange) -> None:
    """An amend into the other side is filled at once; the fills are in its answer."""
    sell = await exchange.place("key-2", side="sell", price="2501", quantity="0.4")
    buy = await exchange.place(price="2490", quantity="1")
    answer = (await exchange.amend(buy, price="2501")).json()
    assert (answer["price"], answer["previous_price"], answer["kept_place"]) == (
        "2501",
        "2490",
        False,
    )
    assert (answer["filled_quantity"], answer["status"]) == ("0.4", "open")
    assert [(fill["price"], fill["quantity"]) for fill in answer["fills"]] == [("2501", "0.4")]
    looked = await exchange.call("GET", f"/v1/orders/{sell.json()['order_id']}", key_id="key-2")
    assert looked.json()["status"] == "filled"


async def test_an_amend_that_meets_ones_own_order_shrinks_by_decrement(exchange: Exchange) -> None:
    """The quantity in the answer is what is left after the self trade was prevented."""
    await exchange.place(side="sell", price="2501", quantity="0.4")
    buy = await exchange.place(price="2490", quantity="1", self_trade="decrement")
    answer = (await exchange.amend(buy, price="2501")).json()
    assert (answer["quantity"], answer["filled_quantity"], answer["fills"]) == ("0.6", "0", [])
    assert (await depth(exchange)) == ([(250_100, 6_000)], [])


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"quantity": "0.3"}, 422, "quantity_below_filled"),
        ({"quantity": "0.2"}, 422, "quantity_below_filled"),
        ({"quantity": "0"}, 422, "invalid_quantity"),
        ({"quantity": "0.00001"}, 422, "invalid_quantity"),
        ({"quantity": "1001"}, 422, "quantity_too_large"),
        ({"quantity": "900"}, 422, "insufficient_funds"),
        ({"quantity": "-1"}, 422, "invalid_number"),
        ({"quantity": "1" + "0" * 29}, 422, "overflow"),
        ({"quantity": "1" * 65}, 422, "invalid_field"),
        ({"quantity": 1}, 422, "invalid_field"),
        ({"price": "2800"}, 422, "price_outside_band"),
        ({"price": "2500.001"}, 422, "invalid_price"),
        ({"price": "0"}, 422, "invalid_price"),
        ({"price": "1e3"}, 422, "invalid_number"),
        ({}, 422, "invalid_combination"),
        ({"side": "sell"}, 422, "invalid_field"),
        ({"quantity": "1", "post_only": True}, 422, "invalid_field"),
    ],
)
async def test_refusals(exchange: Exchange, fields: dict[str, Any], status: int, code: str) -> None:
    """A wrong amend has its own code, and the order stays as it was: 1 at 2500, 0.3 filled."""
    order = await exchange.place()
    await exchange.place("key-2", side="sell", quantity="0.3")
    before = exchange.door.engine.account_balances(1), await depth(exchange)
    answer = await exchange.amend(order, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (exchange.door.engine.account_balances(1), await depth(exchange)) == before


async def test_an_amend_beyond_ones_means_says_what_is_free(exchange: Exchange) -> None:
    """As a new order does; what the order holds is not counted, for its amend may use it."""
    order = await exchange.place(client_order_id="mine")
    balances = (await exchange.call("GET", "/v1/balances")).json()["balances"]
    free = next(each["available"] for each in balances if each["asset"] == "USDT")
    operation = {"op": "amend", "symbol": "ETH/USDT", "client_order_id": "mine", "quantity": "900"}
    batch = await exchange.call("POST", "/v1/orders/batch", {"operations": [operation]})
    for refused in (
        (await exchange.amend(order, quantity="900")).json(),
        batch.json()["results"][0]["problem"],
    ):
        assert (refused["asset"], refused["shard"], refused["available"]) == ("USDT", 0, free)
        assert f"You have {free} USDT free; the amended order, which keeps" in refused["detail"]


async def test_a_post_only_order_does_not_take_by_an_amend(exchange: Exchange) -> None:
    """Post-only holds for its whole life."""
    await exchange.place("key-2", side="sell", price="2501")
    order = await exchange.place(price="2490", post_only=True)
    answer = await exchange.amend(order, price="2501")
    assert (answer.status_code, answer.json()["code"]) == (422, "post_only_would_trade")


async def test_what_is_closed_or_unknown_cannot_be_amended(exchange: Exchange) -> None:
    """Gone is gone."""
    order = await exchange.place()
    await exchange.call("DELETE", f"/v1/orders/{order.json()['order_id']}")
    answers = [
        await exchange.amend(order, quantity="2"),
        await exchange.call("PATCH", "/v1/orders/999", {"quantity": "2"}),
        await exchange.call("PATCH", f"/v1/orders/{7 << 48 | 1}", {"quantity": "2"}),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (404, "order_not_found")
    }


async def test_another_customers_order_does_not_exist(exchange: Exchange) -> None:
    """Bob amends Alice's order by id, and in a batch by her client order id: 404, unchanged."""
    order = await exchange.place(client_order_id="hers")
    single = await exchange.amend(order, "key-2", quantity="0.1")
    operations = [
        {"op": "amend", "symbol": "ETH/USDT", "quantity": "0.1", **name}
        for name in ({"order_id": order.json()["order_id"]}, {"client_order_id": "hers"})
    ]
    batch = await exchange.call(
        "POST", "/v1/orders/batch", {"operations": operations}, key_id="key-2"
    )
    assert single.status_code == 404
    assert [result["status"] for result in batch.json()["results"]] == [404, 404]
    assert (await depth(exchange))[0] == [(250_000, 10_000)]


async def test_an_amend_whose_answer_was_lost_is_sent_again(exchange: Exchange) -> None:
    """503 says that the outcome is unknown; the repeat finds it done and changes nothing."""
    await exchange.place("key-2", side="sell", price="2501", quantity="0.4")
    order = await exchange.place(price="2490", quantity="1")
    exchange.door.loses_answers = True
    lost = await exchange.amend(order, price="2501", quantity="1.2")
    assert (lost.status_code, lost.json()["code"]) == (503, "outcome_unknown")
    assert (lost.json()["outcome"], lost.json()["retryable"]) == ("unknown", True)
    assert lost.json()["order_id"] == order.json()["order_id"]
    exchange.door.loses_answers = False
    behind = await exchange.place("key-2", price="2501", quantity="1")
    trades = exchange.door.engine.trades()
    again = (await exchange.amend(order, price="2501", quantity="1.2")).json()
    assert (again["kept_place"], again["filled_quantity"], again["fills"]) == (True, "0.4", [])
    assert exchange.door.engine.trades() == trades
    assert behind.json()["status"] == "open"


async def test_the_same_signed_amend_has_its_effect_once(exchange: Exchange) -> None:
    """A captured request cannot turn an order back to what it was amended to before."""
    order = await exchange.place()
    target = f"/v1/orders/{order.json()['order_id']}"
    body = b'{"price":"2490"}'
    headers = exchange.signed("PATCH", target, body)
    first = await exchange.http.request("PATCH", target, content=body, headers=headers)
    await exchange.amend(order, price="2480")
    again = await exchange.http.request("PATCH", target, content=body, headers=headers)
    assert [first.status_code, again.status_code] == [200, 409]
    assert again.json()["code"] == "request_replayed"
    assert (await depth(exchange))[0] == [(248_000, 10_000)]
