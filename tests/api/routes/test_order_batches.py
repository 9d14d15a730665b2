"""Batches of orders over the API, against the real engine in the same process."""

from __future__ import annotations

import pytest

from api.schemas.orders import BatchOut
from tests.api.exchange import Exchange


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


@pytest.mark.parametrize("count", [0, 101])
async def test_a_batch_has_1_to_100_operations(exchange: Exchange, count: int) -> None:
    """Nothing of a batch that is too long is carried out."""
    operation = {"op": "cancel", "symbol": "ETH/USDT", "client_order_id": "x"}
    answer = await exchange.call("POST", "/v1/orders/batch", {"operations": [operation] * count})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


async def test_a_batch_amends_and_knows_every_term(exchange: Exchange) -> None:
    """Amends by either id, and orders with an end or a quote amount, each with its result."""
    place = {"op": "place", "symbol": "ETH/USDT", "side": "buy"}
    amend = {"op": "amend", "symbol": "ETH/USDT"}
    limit = {**place, "quantity": "1", "price": "2490", "client_order_id": "b1"}
    until = exchange.door.time_us + 10**9
    answer = await exchange.call(
        "POST",
        "/v1/orders/batch",
        {
            "operations": [
                {**limit, "time_in_force": "gtd", "expires_at_us": until},
                {**amend, "client_order_id": "b1", "price": "2491"},
                {**amend, "client_order_id": "b1", "quantity": "0.5"},
                {**amend, "client_order_id": "b1"},
                {**amend, "quantity": "0.5"},
                {**amend, "client_order_id": "b1", "order_id": "1", "quantity": "0.5"},
                {**amend, "client_order_id": "b2", "quantity": "0.5"},
                {**place, "type": "market", "quote_amount": "10"},
            ]
        },
    )
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 200, 200, 422, 422, 422, 404, 422]
    assert results[0]["order"]["expires_at_us"] == until
    assert (results[2]["amended"]["price"], results[2]["amended"]["quantity"]) == ("2491", "0.5")
    assert [result["problem"]["code"] for result in results[3:]] == [
        "invalid_combination",
        "invalid_combination",
        "invalid_combination",
        "order_not_found",
        "no_liquidity",
    ]


async def test_a_batch_whose_answer_was_lost_names_its_orders(exchange: Exchange) -> None:
    """Also the generated ids, so that each can be asked for."""
    exchange.door.loses_answers = True
    place = {"op": "place", "symbol": "ETH/USDT", "side": "buy", "quantity": "1", "price": "2490"}
    body = {"operations": [{**place, "client_order_id": "b1"}, place]}
    lost = await exchange.call("POST", "/v1/orders/batch", body)
    assert (lost.status_code, lost.json()["code"]) == (503, "outcome_unknown")
    named = lost.json()["client_order_ids"]
    assert named[0] == "b1"
    assert named[1].startswith("g-")
    exchange.door.loses_answers = False
    found = await exchange.call("GET", "/v1/orders?client_order_id=b1")
    assert len(found.json()["orders"]) == 1


async def test_every_answer_is_written_as_its_model_would(exchange: Exchange) -> None:
    """Documents of orders, amends, cancels and refusals are the models', to the byte."""
    at = {"symbol": "ETH/USDT", "price": "2500", "quantity": "1"}
    sell = {"op": "place", "side": "sell", **at}
    buy = {"op": "place", "side": "buy", **at}
    soon = {"time_in_force": "gtd", "expires_at_us": exchange.door.time_us + 10**9}
    operations = [
        {**sell, "client_order_id": "s1", "post_only": True},
        {**sell, "client_order_id": "s1", "post_only": True},
        {**sell, "client_order_id": "s1"},
        {**buy, "price": "2400", "client_order_id": "b1", **soon},
        {**buy, "quantity": "0.5", "self_trade": "decrement", "time_in_force": "ioc"},
        {"op": "place", "symbol": "ETH/USDT", "side": "buy", "type": "market", "quote_amount": "9"},
        {**buy, "type": "stop_limit", "trigger_price": "2600", "client_order_id": "t1"},
        {**sell, "quantity": "20", "display_quantity": "1", "price": "2600"},
        {"op": "amend", "symbol": "ETH/USDT", "client_order_id": "b1", "quantity": "0.5"},
        {"op": "amend", "symbol": "ETH/USDT", "client_order_id": "nobody", "quantity": "1"},
        {"op": "cancel", "symbol": "ETH/USDT", "client_order_id": "b1"},
        {**buy, "symbol": 'é"/\\'},
        {**buy, "quantity": "100000"},
    ]
    await exchange.place("key-2", price="2450", quantity="0.3")
    for given in (operations, [{**sell, "price": "2450", "time_in_force": "ioc"}]):
        answer = await exchange.call("POST", "/v1/orders/batch", {"operations": given})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert BatchOut.model_validate_json(answer.content).model_dump_json() == answer.text
    assert answer.json()["results"][0]["order"]["fills"]
