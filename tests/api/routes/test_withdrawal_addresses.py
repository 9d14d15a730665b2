"""The allow-list and the limits at the edge."""

from __future__ import annotations

import httpx
import pytest

from domain.withdrawal_limits import AddressNames
from tests.api.address_memory import ADDRESS, MOMENT
from tests.api.exchange import Exchange

OTHER = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
DAY_US = 86_400_000_000
LISTED_US = int(MOMENT.timestamp()) * 1_000_000


async def _withdraw(exchange: Exchange, address: str, amount: str = "20") -> httpx.Response:
    body = {"asset": "USDT", "amount": amount, "address": address}
    headers = {"Idempotency-Key": "w-1"}
    return await exchange.call("POST", "/v1/withdrawals", body, headers=headers)


async def test_an_address_is_listed_once_and_has_to_cool_off(exchange: Exchange) -> None:
    """201, then 200 with the same moment; a withdrawal before it says when to come back."""
    body = {"address": OTHER, "label": "cold storage"}
    first = await exchange.call("POST", "/v1/withdrawal-addresses", body)
    again = await exchange.call("POST", "/v1/withdrawal-addresses", body | {"label": "x"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert (
        first.json()
        == again.json()
        == {
            "network": "ETH",
            "address": OTHER,
            "label": "cold storage",
            "beneficiary": "",
            "institution": "",
            "usable_us": LISTED_US + DAY_US,
        }
    )
    refused = await _withdraw(exchange, OTHER)
    assert (refused.status_code, refused.json()["code"]) == (409, "address_cooling_off")
    assert refused.json()["usable_us"] == first.json()["usable_us"]
    shown = (await exchange.call("GET", "/v1/withdrawal-addresses")).json()["addresses"]
    assert [one["address"] for one in shown] == [ADDRESS, OTHER]
    assert exchange.memory.withdrawals_written == {}
    assert [refusal["code"] for _, refusal in exchange.memory.refusals] == ["address_cooling_off"]


async def test_only_listed_addresses_are_paid(exchange: Exchange) -> None:
    """Nor one that was taken off; taking it off twice is not found."""
    assert (await _withdraw(exchange, OTHER)).json()["code"] == "address_not_listed"
    target = f"/v1/withdrawal-addresses/{ADDRESS}"
    gone = await exchange.call("DELETE", target)
    assert (gone.status_code, gone.json()["address"]) == (200, ADDRESS)
    assert (await _withdraw(exchange, ADDRESS)).json()["code"] == "address_not_listed"
    assert (await exchange.call("DELETE", target)).status_code == 404
    others = (await exchange.call("GET", "/v1/withdrawal-addresses", key_id="key-2")).json()
    assert [one["address"] for one in others["addresses"]] == [ADDRESS]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"address": OTHER.lower()}, 422, "invalid_address"),
        ({"address": OTHER[:-1] + "8"}, 422, "invalid_address"),
        ({"address": "0x" + "0" * 40}, 422, "invalid_address"),
        ({"address": OTHER, "network": "DOGE"}, 404, "unknown_network"),
        ({"address": OTHER, "usable_us": 0}, 422, "invalid_field"),
        ({"address": OTHER, "label": "x" * 65}, 422, "invalid_field"),
        ({}, 422, "invalid_field"),
    ],
)
async def test_what_is_no_address_is_not_listed(
    exchange: Exchange, body: dict[str, object], status: int, code: str
) -> None:
    """Nobody chooses the moment, and a mistyped letter is noticed before the money is sent."""
    answer = await exchange.call("POST", "/v1/withdrawal-addresses", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_list_has_an_end(exchange: Exchange) -> None:
    """The hundred and first address is refused; one that is there is still answered."""
    book = exchange.memory.addresses
    for number in range(99):
        await book.add(1, "ETH", f"0x{number}", AddressNames())
    full = await exchange.call("POST", "/v1/withdrawal-addresses", {"address": OTHER})
    assert (full.status_code, full.json()["code"]) == (422, "too_many_addresses")
    known = await exchange.call("POST", "/v1/withdrawal-addresses", {"address": ADDRESS})
    assert known.status_code == 200


async def test_limits_are_shown_and_named_when_they_refuse(exchange: Exchange) -> None:
    """Values in USD; the refusal names the first window that is full, and what is left in it."""
    exchange.memory.addresses.used_cents = 2_499_001
    shown = (await exchange.call("GET", "/v1/withdrawal-limits")).json()
    assert shown["tier"] == "basic"
    assert shown["limits"][0] == {
        "window": "1h",
        "limit_usd": "25000",
        "used_usd": "24990.01",
        "left_usd": "9.99",
    }
    assert [one["window"] for one in shown["limits"]] == ["1h", "24h", "30d"]
    refused = await _withdraw(exchange, ADDRESS, "10")
    assert (refused.status_code, refused.json()["code"]) == (422, "withdrawal_limit_exceeded")
    named = {name: refused.json()[name] for name in ("limit", "limit_usd", "left_usd", "value_usd")}
    assert named == {
        "limit": "within_1h_limit",
        "limit_usd": "25000",
        "left_usd": "9.99",
        "value_usd": "10",
    }
