"""Requesting withdrawals: rows first, once per idempotency key, and by the wallet's rules."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from api.ports import EngineAway
from tests.api.address_memory import ADDRESS
from tests.api.exchange import Exchange

REQUEST = {"asset": "USDT", "amount": "20.5", "address": ADDRESS}


async def test_a_request_is_written_and_started(exchange: Exchange) -> None:
    """202 with what arrives after the fee; the workflow is started once."""
    answer = await exchange.call(
        "POST", "/v1/withdrawals", REQUEST, headers={"Idempotency-Key": "w-1"}
    )
    assert answer.status_code == 202
    body = answer.json()
    assert (body["amount"], body["fee"], body["receives"]) == ("20.5", "1", "19.5")
    assert [str(started) for started in exchange.memory.started] == [body["withdrawal_id"]]
    shown = await exchange.call("GET", f"/v1/withdrawals/{body['withdrawal_id']}")
    assert shown.json() == body


async def test_the_same_key_answers_the_first_request_again(exchange: Exchange) -> None:
    """A retry withdraws nothing more: 200, the same id, no second workflow."""
    headers = {"Idempotency-Key": "w-1"}
    first = await exchange.call("POST", "/v1/withdrawals", REQUEST, headers=headers)
    again = await exchange.call("POST", "/v1/withdrawals", REQUEST, headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["withdrawal_id"] == first.json()["withdrawal_id"]
    assert len(exchange.memory.started) == 1


async def test_signed_bytes_pay_once_whatever_key_is_put_beside_them(exchange: Exchange) -> None:
    """The idempotency key is signed: with another one, or with two, the request is not valid."""
    body = json.dumps(REQUEST).encode()
    signed = exchange.signed("POST", "/v1/withdrawals", body, idempotency_key="w-1")
    keys: tuple[list[str], ...] = (["w-1"], ["w-2"], ["w-1", "w-2"], [])
    answers = [
        await exchange.http.post(
            "/v1/withdrawals",
            content=body,
            headers=[*signed.items(), *(("Idempotency-Key", key) for key in chosen)],
        )
        for chosen in keys
    ]
    assert [answer.status_code for answer in answers] == [202, 401, 401, 401]
    assert len(exchange.memory.withdrawals_written) == 1


async def test_the_same_key_with_another_content_is_a_conflict(exchange: Exchange) -> None:
    """An idempotency key names one request."""
    headers = {"Idempotency-Key": "w-1"}
    await exchange.call("POST", "/v1/withdrawals", REQUEST, headers=headers)
    other = {**REQUEST, "amount": "21"}
    answer = await exchange.call("POST", "/v1/withdrawals", other, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize("key", [None, "", "a b", "x" * 65, "x/y"])
async def test_the_key_is_required(exchange: Exchange, key: str | None) -> None:
    """Without a usable key a lost answer could not be repeated safely."""
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = await exchange.call("POST", "/v1/withdrawals", REQUEST, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "missing_idempotency_key")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"asset": "DOGE"}, 404, "unknown_asset"),
        ({"amount": "0"}, 422, "invalid_amount"),
        ({"amount": "-5"}, 422, "invalid_amount"),
        ({"amount": "1e2"}, 422, "invalid_amount"),
        ({"amount": "20.1234567"}, 422, "invalid_amount"),
        ({"amount": "20\n"}, 422, "invalid_amount"),
        ({"amount": "9223372036854.775808"}, 422, "overflow"),
        ({"amount": "9" * 30}, 422, "overflow"),
        ({"amount": "9.999999"}, 422, "amount_below_minimum"),
        ({"amount": 20}, 422, "invalid_field"),
        ({"address": ADDRESS.lower()}, 422, "invalid_address"),
        ({"address": "0x" + "0" * 40}, 422, "invalid_address"),
        ({"address": "bc1qxy"}, 422, "invalid_address"),
        ({"fee": "0"}, 422, "invalid_field"),
    ],
)
async def test_refusals(
    exchange: Exchange, change: dict[str, object], status: int, code: str
) -> None:
    """A refused request writes nothing and starts nothing."""
    answer = await exchange.call(
        "POST", "/v1/withdrawals", REQUEST | change, headers={"Idempotency-Key": "w-1"}
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert exchange.memory.withdrawals_written == {}
    if code != "invalid_field":  # what is no request at all is answered before it is looked at
        (customer, refused), *more = exchange.memory.refusals
        asked = {name: refused[name] for name in REQUEST}
        assert (customer, refused["code"], asked, more) == (1, code, REQUEST | change, [])


async def test_refusal_is_answered_when_it_cannot_be_recorded(exchange: Exchange) -> None:
    """The caller learns the reason whatever becomes of the audit log."""
    exchange.memory.away = True
    answer = await exchange.call(
        "POST", "/v1/withdrawals", REQUEST | {"amount": "1"}, headers={"Idempotency-Key": "w-1"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "amount_below_minimum")


async def test_what_is_not_free_is_refused_at_once(exchange: Exchange) -> None:
    """Orders hold their part, and requests that are not debited yet count."""
    await exchange.place(quantity="1", price="2500")  # holds 2505 of 10000

    async def ask(key: str, amount: str) -> tuple[int, str | None, bool | None]:
        body = {**REQUEST, "amount": amount}
        headers = {"Idempotency-Key": key}
        answer = await exchange.call("POST", "/v1/withdrawals", body, headers=headers)
        found = answer.json()
        return answer.status_code, found.get("code"), found.get("retryable")

    assert await ask("w-0", "7495.000001") == (422, "insufficient_funds", False)
    assert exchange.memory.withdrawals_written == {}
    answers = await asyncio.gather(*(ask(f"w-{number}", "4000") for number in range(1, 9)))
    assert sorted(status for status, _, _ in answers) == [202, *([422] * 7)]
    assert (422, "insufficient_funds", True) in answers
    assert len(exchange.memory.started) == 1
    assert await ask("w-1", "4000") == (200, None, None)  # the first answer again


async def test_without_the_engine_nothing_is_accepted(exchange: Exchange) -> None:
    """Whether the amount is free cannot be known then."""
    exchange.door.failure = EngineAway("played")
    headers = {"Idempotency-Key": "w-1"}
    answer = await exchange.call("POST", "/v1/withdrawals", REQUEST, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
    assert exchange.memory.withdrawals_written == {}


async def test_a_withdrawal_is_cancelled_by_its_customer(exchange: Exchange) -> None:
    """Recorded first, then the workflow is told; repeating it says the same."""
    headers = {"Idempotency-Key": "w-1"}
    made = await exchange.call("POST", "/v1/withdrawals", REQUEST, headers=headers)
    target = f"/v1/withdrawals/{made.json()['withdrawal_id']}"
    assert made.json()["cancel_requested"] is False
    answers = [await exchange.call("DELETE", target) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json() == {**made.json(), "cancel_requested": True}
    assert [str(told) for told in exchange.memory.told] == [made.json()["withdrawal_id"]] * 2


async def test_a_withdrawal_of_another_or_too_late_is_not_cancelled(exchange: Exchange) -> None:
    """404 for another customer; 409 when it is being signed, and nobody is told."""
    headers = {"Idempotency-Key": "w-1"}
    made = await exchange.call("POST", "/v1/withdrawals", REQUEST, headers=headers)
    target = f"/v1/withdrawals/{made.json()['withdrawal_id']}"
    other = await exchange.call("DELETE", target, key_id="key-2")
    exchange.add_key(1, "key-3", scopes="read trade")
    scope = await exchange.call("DELETE", target, key_id="key-3")
    request, record = exchange.memory.withdrawals_written[1, "w-1"]
    exchange.memory.withdrawals_written[1, "w-1"] = (request, replace(record, state="numbered"))
    late = await exchange.call("DELETE", target)
    assert [(answer.status_code, answer.json()["code"]) for answer in (other, scope, late)] == [
        (404, "not_found"),
        (403, "missing_scope"),
        (409, "too_late_to_cancel"),
    ]
    assert exchange.memory.told == []


async def test_without_the_shared_limits_withdrawals_wait(exchange: Exchange) -> None:
    """With Redis away orders go on under a local limit; what cannot be undone does not."""
    exchange.memory.redis_away = True
    order = await exchange.place()
    answer = await exchange.call(
        "POST", "/v1/withdrawals", REQUEST, headers={"Idempotency-Key": "w-1"}
    )
    assert order.status_code == 201
    assert (answer.status_code, answer.json()["code"]) == (503, "withdrawals_paused")


@pytest.mark.parametrize("withdrawal_id", ["x", "1", "018f0000-0000-7000-8000-00000000000g"])
async def test_impossible_ids_are_not_found(exchange: Exchange, withdrawal_id: str) -> None:
    """An id that is no UUID names nothing."""
    answer = await exchange.call("GET", f"/v1/withdrawals/{withdrawal_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
