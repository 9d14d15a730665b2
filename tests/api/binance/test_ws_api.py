"""Requests over a WebSocket: the handlers of REST, with their refusals, and hostile frames."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.binance.auth import sign
from api.websocket.wire import CLOSE_GOING_AWAY
from domain.customer import KeyAlgorithm
from tests.api.binance.listening import Desk
from tests.api.memory import ALICE


async def test_orders_over_the_socket(heard: Desk) -> None:
    """Placed, looked up, replaced and cancelled by the handlers of REST, with their refusals."""
    asker = heard.asker()
    order: dict[str, Any] = {
        "symbol": "ETHUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.5",
        "price": "2400",
    }
    placed = await asker.ask("order.place", key_id="key-1", **order, newClientOrderId="a:b")
    assert (placed["id"], placed["status"]) == ("7", 200), placed
    kinds = {one["rateLimitType"]: one["count"] for one in placed["rateLimits"]}
    assert kinds["ORDERS"] == 1
    number = placed["result"]["orderId"]
    found = await asker.ask("order.status", key_id="key-1", symbol="ETHUSDT", orderId=number)
    assert found["result"]["clientOrderId"] == "a:b"
    replaced = await asker.ask(
        "order.cancelReplace",
        key_id="key-1",
        **{**order, "price": "2401"},
        cancelOrderId=number,
        cancelReplaceMode="STOP_ON_FAILURE",
    )
    fresh = replaced["result"]["newOrderResponse"]["orderId"]
    ended = await asker.ask(
        "order.cancel", key_id="key-1", symbol="ETHUSDT", orderId=fresh, returnRateLimits="false"
    )
    assert ended["result"]["status"] == "CANCELED"
    assert "rateLimits" not in ended
    again = await asker.ask("order.cancel", key_id="key-1", symbol="ETHUSDT", orderId=fresh)
    assert again["status"] == 400
    assert again["error"] == {"code": -2011, "msg": "Unknown order sent."}
    account = await asker.ask("account.status", key_id="key-1")
    assert {one["asset"] for one in account["result"]["balances"]} == {"USDT", "ETH"}


async def test_who_asks_over_the_socket(heard: Desk) -> None:
    """Key, signature, scope and repetition are checked as for REST."""
    asker = heard.asker()
    heard.exchange.add_key(ALICE, "reader", "read")
    order = {"symbol": "ETHUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    cases = {
        "nobody": (401, -2015),
        "reader": (401, -2015),
        "a b": (401, -2014),
    }
    for key_id, (status, code) in cases.items():
        answer = await asker.ask("order.place", key_id=key_id, **order)
        assert (answer["status"], answer["error"]["code"]) == (status, code)
    unsigned = await asker.ask("order.place", **order)
    assert unsigned["error"]["code"] == -2014
    forged = await asker.ask(
        "order.place",
        apiKey="key-1",
        timestamp=heard.exchange.services.now_ms(),
        signature="0" * 64,
    )
    assert forged["error"]["code"] == -1022
    stamp: dict[str, Any] = {"apiKey": "key-1", "timestamp": heard.exchange.services.now_ms()}
    stamp["signature"] = sign(b"1-yek", urlencode(stamp).encode())
    subscribed = [await asker.ask("userDataStream.subscribe.signature", **stamp) for _ in range(2)]
    assert [one["status"] for one in subscribed] == [200, 400]
    ended = await asker.ask("userDataStream.unsubscribe", subscriptionId=0)
    assert ended["status"] == 200


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", -1135),
        (b"\xff", -1135),
        (b"[]", -1135),
        (b"{" * 1_000, -1135),
        (b'{"id":1}', -1135),
        (b'{"id":1,"method":"nope"}', -1000),
        (b'{"id":{},"method":"ping"}', -1100),
        (b'{"id":1.5,"method":"ping"}', -1100),
        (b'{"id":"\\ud800","method":"ping"}', -1100),
        (b'{"id":1,"method":"depth","params":{"symbol":"\\ud800"}}', -1100),
        (b'{"id":1,"method":"depth","params":{"\\ud800":1}}', -1100),
        (b'{"id":1,"method":"depth","params":{"symbol":{"a":1}}}', -1100),
        (b'{"id":1,"method":"depth","params":[1]}', -1100),
        (b'{"id":1,"method":"depth","params":{"limit":5,"limit":6,"symbol":"ETHUSDT"}}', -1101),
        (b'{"id":1,"method":"depth","method":"ping"}', -1101),
        (b'{"id":1,"method":"depth","params":{"\\ud800":1,"\\ud800":2}}', -1101),
        (b'{"id":1,"method":"depth","params":{"symbol":"ETHUSDT","limit":1e3}}', -1100),
        (b'{"id":1,"method":"depth","params":{"symbol":"ETHUSDT","limit":NaN}}', -1100),
    ],
)
async def test_hostile_requests(heard: Desk, frame: bytes, code: int) -> None:
    """Each is answered with a refusal, and the connection goes on."""
    asker = heard.asker()
    assert (await asker.raw(frame))["error"]["code"] == code
    assert asker.ended is None
    assert (await asker.raw(b'{"id":2,"method":"ping"}'))["result"] == {}


async def test_numbers_keep_their_digits(heard: Desk) -> None:
    """A decimal that is sent as a JSON number is what was written, not what a float makes of it."""
    asker = heard.asker()
    stamp = heard.exchange.services.now_ms()
    parts = (
        f"apiKey=key-1&price=2400.10&quantity=0.1&side=BUY&symbol=ETHUSDT&timeInForce=GTC"
        f"&timestamp={stamp}&type=LIMIT"
    )
    signature = sign(b"1-yek", parts.encode())
    frame = (
        '{"id":9,"method":"order.place","params":{"symbol":"ETHUSDT","side":"BUY","type":"LIMIT",'
        f'"timeInForce":"GTC","quantity":0.1,"price":2400.10,"apiKey":"key-1","timestamp":{stamp},'
        f'"signature":"{signature}"}}}}'
    )
    answer = await asker.raw(frame)
    assert (answer["id"], answer["status"]) == (9, 200), answer
    assert answer["result"]["price"] == "2400.1"


async def test_ed25519_keys(heard: Desk) -> None:
    """Their signatures are base64, over the same parameters; the public half signs nothing."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes_raw()
    heard.exchange.add_key(ALICE, "key-ed", algorithm=KeyAlgorithm.ED25519, secret=public)
    asker = heard.asker()
    stamp: dict[str, Any] = {"apiKey": "key-ed", "timestamp": heard.exchange.services.now_ms()}
    message = urlencode(stamp).encode()
    signature = base64.b64encode(private.sign(message)).decode()
    asked = await asker.ask("account.status", **stamp, signature=signature)
    assert asked["status"] == 200, asked
    query = f"timestamp={stamp['timestamp']}"
    signed = quote_plus(base64.b64encode(private.sign(query.encode())).decode())
    headers = {"X-MBX-APIKEY": "key-ed"}
    target = f"/binance/api/v3/account?{query}&signature={signed}"
    assert (await heard.exchange.http.get(target, headers=headers)).status_code == 200
    forged = await asker.ask("account.status", **stamp, signature=sign(public, message))
    assert forged["error"]["code"] == -1022


async def test_a_gateway_that_stops_answers_what_was_asked(heard: Desk) -> None:
    """An order that is on its way is not left without an answer."""
    asker = heard.asker()
    frame = b'{"id":3,"method":"ping"}'
    await asker._answer(frame)
    assert asker.heard == []
    await asker.drain()
    assert [one["id"] for one in asker.heard] == [3]
    assert asker.ended is not None
    assert asker.ended[0] == CLOSE_GOING_AWAY
