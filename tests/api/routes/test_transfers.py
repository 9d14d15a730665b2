"""Asking for a transfer: once, and never into a place that cannot use it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.exchange import Exchange

BODY = {"asset": "USDT", "amount": "12.5", "from_shard": 0, "to_shard": 1}


@pytest.fixture(autouse=True)
def _second(exchange: Exchange) -> None:
    """Open the shard to which the money goes."""
    exchange.add_shard()


async def _ask(
    exchange: Exchange, body: dict[str, Any], key: str = "k", key_id: str = "key-1"
) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await exchange.call("POST", "/v1/transfers", body, key_id=key_id, headers=headers)


async def test_a_transfer_is_written_down_and_started_once(exchange: Exchange) -> None:
    """A repeat is the first one again, another body under its key a conflict."""
    first = await _ask(exchange, BODY)
    assert first.status_code == 202
    made = first.json()
    assert (made["amount"], made["state"]) == ("12.5", "requested")
    again = await _ask(exchange, BODY)
    assert (again.status_code, again.json()) == (200, made)
    other = await _ask(exchange, {**BODY, "amount": "13"})
    assert other.json()["code"] == "idempotency_conflict"
    assert len(exchange.transfers.started) == 1


async def test_a_transfer_is_its_owners(exchange: Exchange) -> None:
    """Nobody else sees it, and nobody else's key names it."""
    made = (await _ask(exchange, BODY)).json()
    target = f"/v1/transfers/{made['transfer_id']}"
    assert (await exchange.call("GET", target)).json() == made
    assert (await exchange.call("GET", target, key_id="key-2")).status_code == 404
    assert (await exchange.call("GET", "/v1/transfers/none")).status_code == 404
    foreign = (await _ask(exchange, BODY, key_id="key-2")).json()
    assert foreign["transfer_id"] != made["transfer_id"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"to_shard": 0}, "invalid_field"),
        ({"to_shard": 2}, "invalid_field"),
        ({"from_shard": -1}, "invalid_field"),
        ({"to_shard": 32_768}, "invalid_field"),
        ({"from_shard": None, "to_shard": None}, "invalid_field"),
        ({"to_shard": "1"}, "invalid_field"),
        ({"asset": "ETH"}, "invalid_field"),  # no market of shard 1 uses it
        ({"asset": "DOGE"}, "unknown_asset"),
        ({"amount": "0"}, "invalid_amount"),
        ({"amount": "0.0000001"}, "invalid_amount"),
        ({"amount": "99999999999999999"}, "overflow"),
        ({"amount": "-1"}, "invalid_amount"),
        ({"amount": "1e3"}, "invalid_amount"),
        ({"amount": 5}, "invalid_field"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    exchange: Exchange, change: dict[str, Any], code: str
) -> None:
    """Nothing is written down, and nothing started."""
    refused = await _ask(exchange, {**BODY, **change})
    assert refused.json()["code"] == code
    assert exchange.transfers.rows == {}
    assert exchange.transfers.started == []


async def test_the_main_account_is_a_place_too(exchange: Exchange) -> None:
    """Left out or null, on either side; how long it may wait to begin is part of the answer."""
    into = (await _ask(exchange, {"asset": "USDT", "amount": "1", "to_shard": 1}, "in")).json()
    assert (into["from_shard"], into["to_shard"]) == (None, 1)
    out = (await _ask(exchange, {**BODY, "to_shard": None}, "out")).json()
    assert (out["from_shard"], out["to_shard"]) == (0, None)
    assert out["expires_us"] - out["time_us"] == 3600 * 1_000_000


async def test_a_transfer_needs_its_key(exchange: Exchange) -> None:
    """Without an idempotency key a lost answer could not be asked for again."""
    assert (await _ask(exchange, BODY, key="")).json()["code"] == "missing_idempotency_key"
