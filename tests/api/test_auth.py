"""Signed requests: what the signature covers, and every way in which it can be wrong."""

from __future__ import annotations

import base64
import subprocess
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.auth import SignedParts, generated_client_order_id, sign, signed_text
from domain.customer import KeyAlgorithm
from tests.api.exchange import Exchange

SECRET = b"a-secret"
TIMESTAMP = "1700000000000"
BODY = b'{"symbol":"ETH/USDT","side":"buy","quantity":"1","price":"2500"}'


def test_the_signature_is_that_of_printf_and_openssl() -> None:
    """Six lines, as a shell's printf writes them: openssl agrees."""
    lines = [TIMESTAMP, "POST", "/v1/orders", "a=1&b=%2F", "w-1", BODY.decode()]
    command = 'printf "%s\\n" "$@" | openssl dgst -sha256 -hmac ' + SECRET.decode()
    answer = subprocess.run(
        ["bash", "-c", command, "bash", *lines], capture_output=True, check=True
    )
    parts = SignedParts("POST", b"/v1/orders", b"a=1&b=%2F", b"w-1", BODY)
    assert answer.stdout.split()[-1].decode() == sign(SECRET, TIMESTAMP, parts)


def test_a_known_signature_stays_the_same() -> None:
    """The scheme is a promise to clients: this vector was computed once and may never change."""
    parts = SignedParts("GET", b"/v1/orders", b"state=open")
    assert (
        sign(SECRET, TIMESTAMP, parts)
        == "62d70348a3851354d04f5a35831fcb643be44e6219354f088f6151c9ade492c0"
    )


@pytest.mark.parametrize(
    "other",
    [
        SignedParts("DELETE", b"/v1/orders", b"a=1", b"k", b"x"),
        SignedParts("POST", b"/v1/orders/batch", b"a=1", b"k", b"x"),
        SignedParts("POST", b"/v1/orders", b"a=2", b"k", b"x"),
        SignedParts("POST", b"/v1/orders", b"", b"k", b"x"),
        SignedParts("POST", b"/v1/orders", b"a=1", b"l", b"x"),
        SignedParts("POST", b"/v1/orders", b"a=1", b"", b"x"),
        SignedParts("POST", b"/v1/orders", b"a=1", b"k", b"y"),
        SignedParts("POST", b"/v1/orders", b"a=1", b"", b"k\nx"),
        SignedParts("POST", b"/v1/orders", b"a=1k", b"", b"x"),
        SignedParts("POST", b"/v1/orders?a=1", b"", b"k", b"x"),
    ],
)
def test_every_part_is_covered(other: SignedParts) -> None:
    """Changing a part, or moving its text into the next one, changes the signature."""
    first = SignedParts("POST", b"/v1/orders", b"a=1", b"k", b"x")
    assert sign(SECRET, TIMESTAMP, first) != sign(SECRET, TIMESTAMP, other)


async def test_a_request_without_credentials_is_refused(exchange: Exchange) -> None:
    """No headers: 401, and the answer says which one is missing."""
    answer = await exchange.http.get("/v1/orders")
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_credentials")


async def test_an_unknown_key_and_a_wrong_secret_look_the_same(exchange: Exchange) -> None:
    """Nobody can find out which keys exist."""
    wrong = exchange.signed("GET", "/v1/orders")
    wrong["RIALTO-SIGNATURE"] = "0" * 64
    unknown = exchange.signed("GET", "/v1/orders", key_id="key-404")
    answers = [await exchange.http.get("/v1/orders", headers=item) for item in (wrong, unknown)]
    assert [answer.status_code for answer in answers] == [401, 401]
    bodies = [answer.json() for answer in answers]
    for body in bodies:
        del body["request_id"]
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    ("age_ms", "window", "code"),
    [
        (0, None, None),
        (4_900, None, None),
        (5_100, None, "timestamp_outside_window"),
        (5_100, "6000", None),
        (60_500, "999999", "timestamp_outside_window"),
        (-900, None, None),
        (-1_100, "60000", "timestamp_ahead"),
    ],
)
async def test_the_window(
    exchange: Exchange, age_ms: int, window: str | None, code: str | None
) -> None:
    """Old requests are refused by their window, early ones after a second of grace."""
    exchange.clock_ms = 1_800_000_000_000
    headers = exchange.signed("GET", "/v1/orders", timestamp_ms=exchange.clock_ms - age_ms)
    if window:
        headers["RIALTO-WINDOW"] = window
    answer = await exchange.http.get("/v1/orders", headers=headers)
    assert answer.status_code == (200 if code is None else 401)
    if code is not None:
        assert answer.json()["code"] == code
        assert answer.json()["server_time_ms"] == exchange.clock_ms


@pytest.mark.parametrize(
    "name",
    ["RIALTO-KEY", "RIALTO-TIMESTAMP", "RIALTO-SIGNATURE", "RIALTO-WINDOW", "Idempotency-Key"],
)
async def test_a_repeated_header_is_refused(exchange: Exchange, name: str) -> None:
    """Two values of a credential could be read differently by two layers."""
    signed = exchange.signed("GET", "/v1/orders", idempotency_key="k")
    headers = [*signed.items(), ("RIALTO-WINDOW", "5000"), ("Idempotency-Key", "k")]
    headers.append((name, dict(headers)[name]))
    answer = await exchange.http.get("/v1/orders", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RIALTO-TIMESTAMP", "1e12"),
        ("RIALTO-TIMESTAMP", "-5"),
        ("RIALTO-TIMESTAMP", "9" * 40),
        ("RIALTO-SIGNATURE", "A" * 64),
        ("RIALTO-SIGNATURE", "ff"),
        ("RIALTO-KEY", "x'; DROP TABLE api_key; --"),
        ("RIALTO-WINDOW", "1.5"),
    ],
)
async def test_malformed_headers_are_refused(exchange: Exchange, name: str, value: str) -> None:
    """Credentials are checked for their form before anything is looked up."""
    headers = exchange.signed("GET", "/v1/orders") | {name: value}
    answer = await exchange.http.get("/v1/orders", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")


async def test_a_signature_cannot_be_moved_to_another_request(exchange: Exchange) -> None:
    """Signed for one target and body, sent with another."""
    headers = exchange.signed("POST", "/v1/orders", BODY)
    moved = await exchange.http.post("/v1/orders/batch", content=BODY, headers=headers)
    changed = await exchange.http.post("/v1/orders", content=BODY + b" ", headers=headers)
    assert [moved.json()["code"], changed.json()["code"]] == ["bad_signature"] * 2


async def test_a_signature_of_another_account_is_refused(exchange: Exchange) -> None:
    """Her signature under his key, and his key id put into her request."""
    headers = exchange.signed("GET", "/v1/orders") | {"RIALTO-KEY": "key-2"}
    answer = await exchange.http.get("/v1/orders", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")


async def test_a_key_that_is_revoked_in_between_is_refused(exchange: Exchange) -> None:
    """A signature that was made before the key ended is worth nothing after."""
    headers = exchange.signed("GET", "/v1/orders")
    assert (await exchange.http.get("/v1/orders", headers=headers)).status_code == 200
    del exchange.memory.keys["key-1"]
    answer = await exchange.http.get("/v1/orders", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")


async def test_an_expired_key_is_refused(exchange: Exchange) -> None:
    """A key ends at its expiry."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    exchange.add_key(1, "key-old", expires_at=past)
    answer = await exchange.call("GET", "/v1/orders", key_id="key-old")
    assert answer.json()["code"] == "bad_signature"


async def test_a_frozen_customer_is_told_so(exchange: Exchange) -> None:
    """A valid signature of a customer who is not active is 403."""
    exchange.add_key(1, "key-frozen", customer_status="frozen")
    answer = await exchange.call("GET", "/v1/orders", key_id="key-frozen")
    assert (answer.status_code, answer.json()["code"]) == (403, "account_not_active")


async def test_a_replayed_order_is_the_same_order(exchange: Exchange) -> None:
    """Without a client order id one is made of the signature, so a replay places nothing."""
    headers = exchange.signed("POST", "/v1/orders", BODY)
    first = await exchange.http.post("/v1/orders", content=BODY, headers=headers)
    again = await exchange.http.post("/v1/orders", content=BODY, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["order_id"] == first.json()["order_id"]
    assert again.json()["duplicate"] is True
    assert first.json()["client_order_id"] == generated_client_order_id(headers["RIALTO-SIGNATURE"])


async def test_a_replayed_cancel_all_has_no_second_effect(exchange: Exchange) -> None:
    """A recorded cancel-all cannot be used against orders placed after it."""
    headers = exchange.signed("DELETE", "/v1/orders")
    first = await exchange.http.delete("/v1/orders", headers=headers)
    await exchange.place()
    again = await exchange.http.delete("/v1/orders", headers=headers)
    assert (first.status_code, again.status_code) == (200, 409)
    assert again.json()["code"] == "request_replayed"
    assert len((await exchange.call("GET", "/v1/orders")).json()["orders"]) == 1


async def test_who_may_only_withdraw_places_nothing(exchange: Exchange) -> None:
    """Orders are refused; cancelling, looking and withdrawing are not."""
    exchange.add_key(1, "key-leaving", customer_status="withdraw_only")
    order = {"symbol": "ETH/USDT", "side": "buy", "type": "limit", "quantity": "1", "price": "2500"}
    placed = await exchange.call("POST", "/v1/orders", order, key_id="key-leaving")
    assert (placed.status_code, placed.json()["code"]) == (403, "account_not_active")
    for method, target in (("GET", "/v1/orders"), ("DELETE", "/v1/orders")):
        answer = await exchange.call(method, target, key_id="key-leaving")
        assert answer.status_code == 200, answer.text
    body = {
        "asset": "USDT",
        "amount": "20",
        "address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    }
    answer = await exchange.call(
        "POST", "/v1/withdrawals", body, key_id="key-leaving", headers={"Idempotency-Key": "w"}
    )
    assert answer.status_code == 202, answer.text


PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def _signed_by_ed25519(
    exchange: Exchange, method: str, path: str, body: bytes = b""
) -> dict[str, str]:
    """Return the headers of a request that is signed by a private key."""
    public = PRIVATE.public_key().public_bytes_raw()
    exchange.add_key(1, "key-ed", algorithm=KeyAlgorithm.ED25519, secret=public)
    timestamp = str(exchange.services.now_ms())
    text = signed_text(timestamp, SignedParts(method, path.encode(), body=body))
    signature = base64.b64encode(PRIVATE.sign(text)).decode()
    return {
        "RIALTO-KEY": "key-ed",
        "RIALTO-TIMESTAMP": timestamp,
        "RIALTO-SIGNATURE": signature,
        "Content-Type": "application/json",
    }


async def test_an_ed25519_key_signs_the_same_text(exchange: Exchange) -> None:
    """The exchange knows the public half only; everything else is as with a shared secret."""
    headers = _signed_by_ed25519(exchange, "POST", "/v1/orders", BODY)
    placed = await exchange.http.post("/v1/orders", content=BODY, headers=headers)
    assert placed.status_code == 201, placed.text
    other = await exchange.http.post("/v1/orders", content=BODY + b" ", headers=headers)
    assert other.json()["code"] == "bad_signature"


async def test_each_signature_has_one_spelling(exchange: Exchange) -> None:
    """Otherwise a cancel-all that was used up could come back in another one."""
    headers = _signed_by_ed25519(exchange, "DELETE", "/v1/orders")
    assert (await exchange.http.delete("/v1/orders", headers=headers)).is_success
    signature = headers["RIALTO-SIGNATURE"]
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    sibling = digits[digits.index(signature[85]) + 1]
    again = {
        signature: "request_replayed",
        f"{signature[:85]}{sibling}==": "bad_signature",
        signature.rstrip("="): "bad_signature",
        signature.replace("+", "-").replace("/", "_") + " ": "bad_signature",
        "0" * 64: "bad_signature",
    }
    for spelling, code in again.items():
        headers["RIALTO-SIGNATURE"] = spelling
        assert (await exchange.http.delete("/v1/orders", headers=headers)).json()["code"] == code


async def test_a_public_key_is_no_secret(exchange: Exchange) -> None:
    """Who knows the public half cannot sign with it as if it were a shared secret."""
    headers = _signed_by_ed25519(exchange, "GET", "/v1/orders")
    public = PRIVATE.public_key().public_bytes_raw()
    parts = SignedParts("GET", b"/v1/orders")
    headers["RIALTO-SIGNATURE"] = sign(public, headers["RIALTO-TIMESTAMP"], parts)
    answer = await exchange.http.get("/v1/orders", headers=headers)
    assert answer.json()["code"] == "bad_signature"
