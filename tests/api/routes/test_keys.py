"""A customer's own keys: made, used from where they may be, revoked."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.auth import SignedParts, sign, signed_text
from domain.api_keys import MAX_KEYS, networks_of
from tests.api.exchange import Exchange
from tests.api.websocket.test_account_channel import Trader

READER = {"label": "reader", "scopes": ["read"]}


async def _made(exchange: Exchange, **members: Any) -> dict[str, Any]:
    answer = await exchange.call("POST", "/v1/keys", {**READER, **members})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return dict(answer.json())


async def _looks(exchange: Exchange, key_id: str, signature: str, stamp: str) -> httpx.Response:
    headers = {"RIALTO-KEY": key_id, "RIALTO-TIMESTAMP": stamp, "RIALTO-SIGNATURE": signature}
    return await exchange.http.get("/v1/balances", headers=headers)


async def test_a_secret_is_told_once_and_signs(exchange: Exchange) -> None:
    """The new key works at once, within its scopes; no later answer has its secret."""
    made = await _made(exchange)
    stamp = str(exchange.services.now_ms())
    signature = sign(made["secret"].encode(), stamp, SignedParts("GET", b"/v1/balances"))
    assert (await _looks(exchange, made["key_id"], signature, stamp)).status_code == 200
    listed = await exchange.call("GET", "/v1/keys")
    assert made["secret"] not in listed.text
    shown = {one["key_id"]: one for one in listed.json()["keys"]}
    assert shown["key-1"]["is_this"]
    assert shown[made["key_id"]] == {
        "key_id": made["key_id"],
        "label": "reader",
        "algorithm": "hmac-sha256",
        "scopes": ["read"],
        "networks": [],
        "expires_us": None,
        "created_us": 1_767_225_600_000_000,
        "is_this": False,
    }


async def test_a_public_key_needs_no_secret(exchange: Exchange) -> None:
    """The private half never leaves its owner, who signs with it."""
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    made = await _made(exchange, public_key=public)
    assert (made["algorithm"], made["secret"]) == ("ed25519", None)
    stamp = str(exchange.services.now_ms())
    text = signed_text(stamp, SignedParts("GET", b"/v1/balances"))
    signature = base64.b64encode(private.sign(text)).decode()
    assert (await _looks(exchange, made["key_id"], signature, stamp)).status_code == 200


async def test_a_label_is_one_key(exchange: Exchange) -> None:
    """Asking again after a lost answer makes no second key; revoked, the label is free."""
    made = await _made(exchange)
    again = await exchange.call("POST", "/v1/keys", READER)
    assert (again.status_code, again.json()["code"]) == (409, "key_label_taken")
    other = await exchange.call("POST", "/v1/keys", READER, key_id="key-2")
    assert other.status_code == 201
    gone = await exchange.call("DELETE", f"/v1/keys/{made['key_id']}")
    assert gone.json()["label"] == "reader"
    assert (await exchange.call("DELETE", f"/v1/keys/{made['key_id']}")).status_code == 404
    await _made(exchange)
    assert [told[:2] for told in exchange.own_keys.told] == [
        ("customer:1", "issued"),
        ("customer:2", "issued"),
        ("customer:1", "revoked"),
        ("customer:1", "issued"),
    ]


async def test_there_are_so_many_keys(exchange: Exchange) -> None:
    """One more than the limit is refused with its number."""
    for number in range(MAX_KEYS - 1):
        exchange.add_key(1, f"more-{number}")
    answer = await exchange.call("POST", "/v1/keys", READER)
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_keys")
    assert str(MAX_KEYS) in answer.json()["detail"]


async def test_a_key_makes_no_stronger_key(exchange: Exchange) -> None:
    """One bound to an address makes keys that are bound to it, too."""
    exchange.add_key(1, "bound", networks=networks_of(["127.0.0.0/8"]))
    for networks, status in (([], 403), (["10.0.0.1"], 403), (["127.0.0.1"], 201)):
        body = {**READER, "networks": networks}
        answer = await exchange.call("POST", "/v1/keys", body, key_id="bound")
        assert answer.status_code == status, answer.text
    exchange.add_key(1, "poor", "read withdraw")
    body = {**READER, "label": "x", "scopes": ["trade"]}
    answer = await exchange.call("POST", "/v1/keys", body, key_id="poor")
    assert (answer.status_code, answer.json()["code"]) == (403, "key_too_strong")


@pytest.mark.parametrize(
    "member",
    [
        {"label": ""},
        {"label": " "},
        {"label": "é"},
        {"label": "x" * 65},
        {"scopes": []},
        {"scopes": ["read", "read"]},
        {"scopes": ["compliance"]},
        {"public_key": "A" * 44},
        {"public_key": base64.b64encode(b"x" * 31).decode()},
        {"networks": ["10.0.0.1/8"]},
        {"networks": ["192.0.2.7", "192.0.2.7/32"]},
        {"networks": [f"192.0.2.{number}" for number in range(17)]},
        {"expires_us": 1},
        {"expires_us": 2**53},
        {"customer_id": 2},
    ],
    ids=str,
)
async def test_what_no_key_can_be(exchange: Exchange, member: dict[str, Any]) -> None:
    """Each is refused, and nothing is made."""
    answer = await exchange.call("POST", "/v1/keys", {**READER, **member})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field"), answer.text
    assert exchange.own_keys.told == []


async def test_a_key_works_from_its_addresses_only(exchange: Exchange) -> None:
    """By REST, by WebSocket, and in the dialect; only who signs learns of it."""
    exchange.add_key(1, "home", networks=networks_of(["127.0.0.1", "2001:db8::/32"]))
    exchange.add_key(1, "away", networks=networks_of(["192.0.2.7"]))
    assert (await exchange.call("GET", "/v1/balances", key_id="home")).status_code == 200
    refused = await exchange.call("GET", "/v1/balances", key_id="away")
    assert (refused.status_code, refused.json()["code"]) == (403, "address_not_allowed")
    forged = {**exchange.signed("GET", "/v1/balances"), "RIALTO-KEY": "away"}
    answer = await exchange.http.get("/v1/balances", headers=forged)
    assert answer.json()["code"] == "bad_signature"
    for key_id, code in (("home", "address_not_allowed"), ("key-1", None)):
        trader = Trader(exchange.services)  # its address is not known
        login = exchange.credentials(key_id)
        assert (await trader.ask(op="login", **login)).get("code") == code
        await trader._account.close()
    for key_id, status in (("home", 200), ("away", 401)):
        answer = await exchange.http.post(
            "/binance/api/v3/userDataStream", headers={"X-MBX-APIKEY": key_id}
        )
        assert answer.status_code == status, answer.text


async def test_what_a_proxy_says_counts_only_where_it_is_trusted(exchange: Exchange) -> None:
    """A client's own X-Forwarded-For does not move it into a key's networks."""
    exchange.add_key(1, "away", networks=networks_of(["192.0.2.7"]))
    answer = await exchange.call(
        "GET", "/v1/balances", key_id="away", headers={"X-Forwarded-For": "192.0.2.7"}
    )
    assert answer.json()["code"] == "address_not_allowed"
