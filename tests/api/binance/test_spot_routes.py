"""Spot in the dialect, against the small exchange: names, numbers, times and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from api.binance.auth import sign
from tests.api.binance.clients import ask
from tests.api.exchange import Exchange

LIMIT: dict[str, Any] = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
ORDER = {**LIMIT, "quantity": "1", "price": "2500"}


async def placed(exchange: Exchange, key_id: str = "key-1", **fields: Any) -> dict[str, Any]:
    """Place an order, by default a buy of 1 ETH at 2500, and return the answer."""
    answer = await ask(exchange, "POST", "/api/v3/order", key_id=key_id, **{**ORDER, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_an_order_from_its_placing_to_its_end(exchange: Exchange) -> None:
    """Placed, found by both names, listed, cancelled: the same order with the same numbers."""
    made = await placed(exchange, newClientOrderId="mine")
    assert made["status"] == "NEW"
    assert (made["clientOrderId"], made["price"], made["origQty"]) == ("mine", "2500", "1")
    assert (made["executedQty"], made["cummulativeQuoteQty"], made["fills"]) == ("0", "0", [])
    names: list[dict[str, Any]] = [{"orderId": made["orderId"]}, {"origClientOrderId": "mine"}]
    for name in names:
        found = await ask(exchange, "GET", "/api/v3/order", symbol="ETHUSDT", **name)
        assert found.json()["orderId"] == made["orderId"]
        assert found.json()["isWorking"] is True
    listed = await ask(exchange, "GET", "/api/v3/openOrders")
    assert [one["orderId"] for one in listed.json()] == [made["orderId"]]
    ended = await ask(
        exchange, "DELETE", "/api/v3/order", symbol="ETHUSDT", origClientOrderId="mine"
    )
    assert (ended.json()["status"], ended.json()["orderId"]) == ("CANCELED", made["orderId"])
    again = await ask(
        exchange, "DELETE", "/api/v3/order", symbol="ETHUSDT", orderId=made["orderId"]
    )
    assert again.json() == {"code": -2011, "msg": "Unknown order sent."}


async def test_fills_come_with_the_answer(exchange: Exchange) -> None:
    """A taker reads price, quantity and fee of each fill; the totals are exact."""
    maker = await placed(exchange, price="2400", quantity="0.5")
    taken = await placed(exchange, key_id="key-2", side="SELL", price="2390", quantity="0.2")
    assert (taken["status"], taken["executedQty"]) == ("FILLED", "0.2")
    assert taken["cummulativeQuoteQty"] == "480"
    (fill,) = taken["fills"]
    assert (fill["price"], fill["qty"], fill["commissionAsset"]) == ("2400", "0.2", "USDT")
    assert fill["commission"] == "0.96"  # 0.2 % of 480
    exchange.follow()
    found = await ask(exchange, "GET", "/api/v3/order", symbol="ETHUSDT", orderId=maker["orderId"])
    assert found.json()["status"] == "PARTIALLY_FILLED"
    assert found.json()["cummulativeQuoteQty"] == "480"


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"quantity": "9"}, -2010, "Account has insufficient balance for requested action."),
        ({"price": "2500.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.00001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"price": "2800", "quantity": "0.1"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ({"side": "UP"}, -1117, "Invalid side."),
        ({"type": "OTHER"}, -1116, "Invalid orderType."),
        ({"timeInForce": "GTD"}, -1115, "Invalid timeInForce."),
        ({"price": ""}, -1102, "Mandatory parameter 'price' was not sent"),
        ({"quantity": "1e3"}, -1100, "Illegal characters found in a parameter."),
        (
            {"newClientOrderId": "a b"},
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'.",
        ),
        ({"type": "STOP_LOSS", "price": ""}, -1102, "Mandatory parameter 'stopPrice'"),
    ],
)
async def test_refusals(
    exchange: Exchange, fields: dict[str, Any], code: int, message: str
) -> None:
    """Each refusal has the code and the words that clients know, and 400."""
    answer = await ask(exchange, "POST", "/api/v3/order", **{**ORDER, **fields})
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert answer.json()["msg"].startswith(message)


async def test_who_is_asking(exchange: Exchange) -> None:
    """Key, signature, clock and scope each have their own refusal."""
    path = "/api/v3/account"
    unknown = await ask(exchange, "GET", path, key_id="nobody")
    assert (unknown.status_code, unknown.json()["code"]) == (401, -2015)
    malformed = await ask(exchange, "GET", path, key_id="a/b")
    assert (malformed.status_code, malformed.json()["code"]) == (401, -2014)
    unsigned = await ask(exchange, "GET", path, signed=False, timestamp=1)
    assert unsigned.json()["code"] == -1102
    forged = await ask(exchange, "GET", path, signed=False, timestamp=1, signature="0" * 64)
    assert (forged.status_code, forged.json()["code"]) == (401, -1022)
    exchange.add_key(1, "reader", "read")
    refused = await ask(exchange, "POST", "/api/v3/order", key_id="reader", **ORDER)
    assert (refused.status_code, refused.json()["code"]) == (401, -2015)
    exchange.add_key(1, "frozen", customer_status="frozen")
    frozen = await ask(exchange, "POST", "/api/v3/order", key_id="frozen", **ORDER)
    assert frozen.json()["msg"] == "This account may not place or cancel orders."
    exchange.clock_ms = 10**12
    request = exchange.services.now_ms()
    exchange.clock_ms = request + 61_000
    assert (await ask(exchange, "GET", path)).status_code == 200


async def test_a_request_that_is_too_old(exchange: Exchange) -> None:
    """The window is the client's, at most a minute; the future is refused after a second."""
    exchange.clock_ms = 10**12

    async def at(timestamp: int, **more: Any) -> Any:
        window = "".join(f"&{name}={value}" for name, value in more.items())
        text = f"timestamp={timestamp}{window}"
        signature = sign(b"1-yek", text.encode())
        answer = await exchange.http.get(
            f"/binance/api/v3/account?{text}&signature={signature}",
            headers={"X-MBX-APIKEY": "key-1"},
        )
        return answer.json().get("code")

    assert await at(10**12 - 5_000) is None
    assert await at(10**12 - 5_001) == -1021
    assert await at(10**12 - 6_000, recvWindow=7_000) is None
    assert await at(10**12 + 1_001) == -1021
    assert await at(10**12, recvWindow=60_001) == -1131


async def test_a_client_id_that_is_in_use(exchange: Exchange) -> None:
    """The same name for an order is a duplicate, whether its content is the same or not."""
    await placed(exchange, newClientOrderId="one")
    for price in ("2500", "2501"):
        answer = await ask(
            exchange,
            "POST",
            "/api/v3/order",
            **{**ORDER, "newClientOrderId": "one", "price": price},
        )
        assert answer.json() == {"code": -2010, "msg": "Duplicate order sent."}


async def test_a_test_order_has_no_effect(exchange: Exchange) -> None:
    """It meets the same refusals, and an acceptable one leaves nothing behind."""
    assert (await ask(exchange, "POST", "/api/v3/order/test", **ORDER)).json() == {}
    refused = await ask(exchange, "POST", "/api/v3/order/test", **{**ORDER, "quantity": "9"})
    assert refused.json()["code"] == -2010
    assert (await ask(exchange, "GET", "/api/v3/openOrders")).json() == []


async def test_cancelling_all(exchange: Exchange) -> None:
    """All orders of the market are in the answer; with none there is nothing to cancel."""
    made = [await placed(exchange, price=price, quantity="0.1") for price in ("2400", "2401")]
    ended = await ask(exchange, "DELETE", "/api/v3/openOrders", symbol="ETHUSDT")
    assert {(one["orderId"], one["status"]) for one in ended.json()} == {
        (one["orderId"], "CANCELED") for one in made
    }
    assert (await ask(exchange, "DELETE", "/api/v3/openOrders", symbol="ETHUSDT")).json()[
        "code"
    ] == -2011


async def test_replacing(exchange: Exchange) -> None:
    """Cancel and place in one request; what fails is told with both answers."""
    made = await placed(exchange)
    replace = {**ORDER, "price": "2490", "cancelReplaceMode": "STOP_ON_FAILURE"}
    path = "/api/v3/order/cancelReplace"
    done = (await ask(exchange, "POST", path, cancelOrderId=made["orderId"], **replace)).json()
    assert (done["cancelResult"], done["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert done["newOrderResponse"]["price"] == "2490"
    stopped = await ask(exchange, "POST", path, cancelOrderId=made["orderId"], **replace)
    assert (stopped.status_code, stopped.json()["code"]) == (400, -2022)
    assert stopped.json()["data"]["newOrderResult"] == "NOT_ATTEMPTED"
    replace["cancelReplaceMode"] = "ALLOW_FAILURE"
    partly = await ask(
        exchange, "POST", path, cancelOrderId=made["orderId"], **{**replace, "quantity": "0.1"}
    )
    assert (partly.status_code, partly.json()["code"]) == (409, -2021)
    assert partly.json()["data"]["newOrderResponse"]["status"] == "NEW"


async def test_history_is_oldest_first(exchange: Exchange) -> None:
    """`allOrders` begins where it is told to, and else ends with the newest."""
    made = [await placed(exchange, price=f"24{number:02}", quantity="0.1") for number in range(5)]
    exchange.follow()
    ids = [one["orderId"] for one in made]

    async def found(**more: Any) -> list[int]:
        answer = await ask(exchange, "GET", "/api/v3/allOrders", symbol="ETHUSDT", **more)
        return [one["orderId"] for one in answer.json()]

    assert await found() == ids
    assert await found(limit=2) == ids[-2:]
    assert await found(orderId=ids[1], limit=2) == ids[1:3]
    assert await found(startTime=made[3]["transactTime"]) == ids[3:]
    assert await found(endTime=made[1]["transactTime"]) == ids[:2]


async def test_balances(exchange: Exchange) -> None:
    """What an order holds is locked, and the sum does not change."""
    await placed(exchange)
    account = (await ask(exchange, "GET", "/api/v3/account", omitZeroBalances="true")).json()
    held = {one["asset"]: (one["free"], one["locked"]) for one in account["balances"]}
    assert held["ETH"] == ("10000", "0")
    assert held["USDT"] == ("7495", "2505")
    assert account["canTrade"] is True
    assert (account["makerCommission"], account["takerCommission"]) == (10, 20)


async def test_markets_and_their_grids(exchange: Exchange) -> None:
    """The grids are the market's own, as exact decimals."""
    info = (await ask(exchange, "GET", "/api/v3/exchangeInfo", signed=False)).json()
    (market,) = info["symbols"]
    assert (market["symbol"], market["status"]) == ("ETHUSDT", "TRADING")
    filters = {one["filterType"]: one for one in market["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01"
    assert filters["LOT_SIZE"] == {
        "filterType": "LOT_SIZE",
        "minQty": "0.0001",
        "maxQty": "1000",
        "stepSize": "0.0001",
    }
    assert filters["PERCENT_PRICE_BY_SIDE"]["bidMultiplierUp"] == "1.1"


async def test_the_book_counts_as_the_engine(exchange: Exchange) -> None:
    """`lastUpdateId` is the engine's sequence, and levels are what rests."""
    await placed(exchange)
    book = (await ask(exchange, "GET", "/api/v3/depth", signed=False, symbol="ETHUSDT")).json()
    assert book == {
        "lastUpdateId": exchange.door.engine.sequence,
        "bids": [["2500", "1"]],
        "asks": [],
    }


async def test_what_does_not_exist(exchange: Exchange) -> None:
    """An unknown path is told in the dialect; unknown parameters are ignored."""
    for method in ("GET", "POST"):
        answer = await ask(exchange, method, "/api/v3/nothing")
        assert (answer.status_code, answer.json()["code"]) == (404, -1020)
    wrong = await ask(exchange, "PUT", "/api/v3/order")
    assert wrong.json()["code"] == -1020
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "DELETE, GET, HEAD, POST")
    await placed(exchange, strategyId="7", newOrderRespType="FULL")


async def test_weights_are_counted_and_bounded(exchange: Exchange) -> None:
    """The headers tell what is used; beyond the limit comes 429 with -1003."""
    first = await ask(exchange, "GET", "/api/v3/account")
    assert first.headers["X-MBX-USED-WEIGHT-10S"] == "2"
    order = await ask(exchange, "POST", "/api/v3/order", **ORDER)
    assert order.headers["X-MBX-ORDER-COUNT-10S"] == "1"
    exchange.memory.used["weight", "customer:1"] = 1_199
    refused = await ask(exchange, "GET", "/api/v3/account")
    assert (refused.status_code, refused.json()["code"]) == (429, -1003)
    assert int(refused.headers["Retry-After"]) >= 1


async def test_a_database_that_is_away(exchange: Exchange) -> None:
    """It is our fault, in the dialect's words."""
    exchange.memory.away = True
    answer = await ask(exchange, "GET", "/api/v3/allOrders", symbol="ETHUSDT")
    assert (answer.status_code, answer.json()["code"]) == (503, -1001)
