"""Sessions of the request API: one signature for a connection, and what it does not allow."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.customer import KeyAlgorithm
from tests.api.binance.listening import Asker, Desk
from tests.api.memory import ALICE
from tests.api.waiting import eventually

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORDER: dict[str, Any] = {
    "symbol": "ETHUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.1",
    "price": "2400",
}


def credentials(heard: Desk, key_id: str = "key-ed") -> dict[str, Any]:
    """Return the signed parameters of a logon."""
    stamp: dict[str, Any] = {"apiKey": key_id, "timestamp": heard.exchange.services.now_ms()}
    signature = base64.b64encode(PRIVATE.sign(urlencode(stamp).encode())).decode()
    return {**stamp, "signature": signature}


def add_key(heard: Desk, **how: Any) -> None:
    """Give the first customer an Ed25519 key."""
    public = PRIVATE.public_key().public_bytes_raw()
    heard.exchange.add_key(ALICE, "key-ed", algorithm=KeyAlgorithm.ED25519, secret=public, **how)


async def logged_on(heard: Desk, **how: Any) -> Asker:
    """Return a connection that has logged on."""
    add_key(heard, **how)
    asker = heard.asker()
    answer = await asker.ask("session.logon", **credentials(heard))
    assert answer["status"] == 200, answer
    assert answer["result"]["apiKey"] == "key-ed"
    assert answer["result"]["authorizedSince"] >= answer["result"]["connectedSince"]
    return asker


def now(heard: Desk) -> dict[str, Any]:
    """Return the timestamp that a request has, with a signature or without."""
    return {"timestamp": heard.exchange.services.now_ms()}


async def test_a_session(heard: Desk) -> None:
    """Requests without a signature are of the key that logged on, until it logs out."""
    asker = await logged_on(heard)
    orders = [await asker.ask("order.place", **ORDER, **now(heard)) for _ in range(2)]
    assert [one["status"] for one in orders] == [200, 200], orders
    ids = {one["result"]["clientOrderId"] for one in orders}
    assert len(ids) == 2, "each has a name of its own"
    open_now = await asker.ask("openOrders.status", key_id="key-1", symbol="ETHUSDT")
    assert len(open_now["result"]) == 2, "a key of its own is used where one is named"
    ended = await asker.ask("openOrders.cancelAll", symbol="ETHUSDT", **now(heard))
    assert len(ended["result"]) == 2
    assert (await asker.ask("session.status"))["result"]["apiKey"] == "key-ed"
    out = await asker.ask("session.logout")
    assert (out["result"]["apiKey"], out["result"]["authorizedSince"]) == (None, None)
    after = await asker.ask("order.place", **ORDER, **now(heard))
    assert after["error"]["code"] == -2014


async def test_what_comes_behind_a_logon(heard: Desk) -> None:
    """Frames that do not wait for its answer are served after it, as who has logged on."""
    add_key(heard)
    asker = heard.asker()
    logon = {"id": 1, "method": "session.logon", "params": credentials(heard)}
    order = {"id": 2, "method": "order.place", "params": {**ORDER, **now(heard)}}
    for frame in (logon, order):
        await asker._answer(json.dumps(frame))
    await eventually(lambda: len(asker.heard) == 2)
    assert [(one["id"], one["status"]) for one in asker.heard] == [(1, 200), (2, 200)]


async def test_who_may_not_log_on(heard: Desk) -> None:
    """An HMAC key, a forger, and who sends a logon again, also over another connection."""
    asker = await logged_on(heard)
    hmac = await asker.ask("session.logon", key_id="key-1")
    assert (hmac["status"], hmac["error"]["code"]) == (400, -4056)
    assert (await asker.ask("session.status"))["result"]["apiKey"] == "key-ed", "it stays"
    fresh, repeated = heard.asker(), credentials(heard)
    forged = await fresh.ask("session.logon", **{**repeated, "timestamp": 1})
    assert forged["error"]["code"] == -1022
    nobody = await fresh.ask("session.logon", **{**repeated, "apiKey": "nobody"})
    assert nobody["error"]["code"] == -2015
    assert (await fresh.ask("session.logon", **repeated))["status"] == 200
    again = await heard.asker().ask("session.logon", **repeated)
    assert again["error"]["code"] == -1021
    unsigned = await heard.asker().ask("session.logon", **now(heard))
    assert unsigned["error"]["code"] == -2014


async def test_what_a_session_does_not_allow(heard: Desk) -> None:
    """Scope, time and life of the key are looked at with every request."""
    asker = await logged_on(heard, scopes="read")
    cases: list[tuple[str, dict[str, Any], int]] = [
        ("order.place", {**ORDER, **now(heard)}, -2015),
        ("account.status", {}, -1102),
        ("account.status", {"timestamp": 1}, -1021),
        ("account.status", {**now(heard), "recvWindow": 60_001}, -1131),
        ("account.status", {**now(heard), "apiKey": "key-1"}, -1102),
        ("account.status", {**now(heard), "signature": "0" * 64}, -2014),
    ]
    for method, params, code in cases:
        assert (await asker.ask(method, **params))["error"]["code"] == code, (method, params)
    assert (await asker.ask("account.status", **now(heard)))["status"] == 200
    keys = heard.exchange.memory.keys
    keys["key-ed"] = replace(keys["key-ed"], networks=(ip_network("10.0.0.0/8"),))
    elsewhere = await asker.ask("account.status", **now(heard))
    assert (elsewhere["status"], elsewhere["error"]["code"]) == (401, -2015)
    del keys["key-ed"]
    revoked = await asker.ask("account.status", **now(heard))
    assert (revoked["status"], revoked["error"]["code"]) == (401, -2015)
    assert (await asker.ask("session.status"))["result"]["apiKey"] is None


async def test_events_of_a_session(heard: Desk) -> None:
    """They are subscribed to without a signature, and end with the session; signed ones stay."""
    asker = await logged_on(heard)
    assert (await asker.ask("userDataStream.subscribe", **now(heard)))["status"] == 200
    assert (await asker.ask("userDataStream.subscribe.signature", key_id="key-1"))["status"] == 200
    listed = await asker.ask("session.subscriptions")
    assert listed["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]
    assert (await asker.ask("session.status"))["result"]["userDataStream"]
    await asker.ask("order.place", **ORDER, **now(heard))
    assert {one["x"] for one in await asker.reports(2)} == {"NEW"}
    await asker.ask("session.logout")
    assert (await asker.ask("session.subscriptions"))["result"] == [{"subscriptionId": 1}]
    stranger = await heard.asker().ask("userDataStream.subscribe", **now(heard))
    assert stranger["error"]["code"] == -2015


async def test_listen_keys_over_the_socket(heard: Desk) -> None:
    """Made, kept alive and ended by the handlers of REST, of a named key or the session's."""
    asker = await logged_on(heard)
    made = await asker.ask("userDataStream.start", apiKey="key-1")
    own = await asker.ask("userDataStream.start")
    assert made["result"]["listenKey"] != own["result"]["listenKey"]
    for method in ("userDataStream.ping", "userDataStream.stop"):
        answer = await asker.ask(method, listenKey=own["result"]["listenKey"])
        assert answer["status"] == 200, answer
    ended = await asker.ask("userDataStream.ping", listenKey=own["result"]["listenKey"])
    assert ended["error"]["code"] == -1125
    futures = heard.asker(perpetual=True)
    kept = await futures.ask("userDataStream.start", apiKey="key-1")
    assert "listenKey" in kept["result"]
    assert (await futures.ask("userDataStream.subscribe"))["error"]["code"] == -1000
