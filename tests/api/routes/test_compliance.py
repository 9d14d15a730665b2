"""Withdrawals of all customers, for a key of compliance staff only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from domain.customer import Scope
from domain.wallet_record import FiledWithdrawal, WithdrawalFilter
from tests.api.exchange import Exchange

NAME = UUID("018f0000-0000-7000-8000-000000000001")
STORY: dict[str, Any] = {
    "withdrawal_id": str(NAME),
    "customer": "customer:1",
    "asset": "USDT",
    "amount": "20.5",
    "fee": "1",
    "address": "0xA",
    "requested_at": "2026-11-27T09:00:00+00:00",
    "state": "settled",
    "tx_hash": "0x1",
    "answer": ["officer:marta signed: approve"],
    "differences": [],
    "history": [{"run_id": "r", "source": "temporal", "fault": ""}],
    "records": [],
}


def staffed(exchange: Exchange) -> Exchange:
    """Give the exchange a key of a member of staff, and a withdrawal on file."""
    exchange.add_key(9, "key-9", Scope.COMPLIANCE)
    exchange.filed.stories[NAME] = STORY
    exchange.filed.filed = [
        FiledWithdrawal(UUID(int=number), 1, "USDT", "20.5", "0xA", "settled", "settled", number)
        for number in range(1, 4)
    ]
    return exchange


async def test_story_is_told_to_staff_and_the_reader_is_named(exchange: Exchange) -> None:
    """The whole story, and the log learns who has looked."""
    staffed(exchange)
    answer = await exchange.call("GET", f"/v1/compliance/withdrawals/{NAME}", key_id="key-9")
    assert answer.status_code == 200, answer.text
    assert answer.json()["answer"] == ["officer:marta signed: approve"]
    assert exchange.filed.readers == [(NAME, "staff:9")]


async def test_customers_key_reads_nobodys_file(exchange: Exchange) -> None:
    """All of a customer's scopes are not enough, and nothing was looked at."""
    staffed(exchange)
    for path in (f"/v1/compliance/withdrawals/{NAME}", "/v1/compliance/withdrawals"):
        answer = await exchange.call("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert (exchange.filed.readers, exchange.filed.asked) == ([], [])


async def test_staffs_key_does_nothing_else(exchange: Exchange) -> None:
    """Who reads files does not trade or withdraw with the same key."""
    staffed(exchange)
    answer = await exchange.call("GET", "/v1/withdrawals", key_id="key-9")
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


async def test_unknown_withdrawal_is_not_found(exchange: Exchange) -> None:
    """An id that nobody has, and text that is none."""
    staffed(exchange)
    for name in (UUID(int=7), "seven"):
        answer = await exchange.call("GET", f"/v1/compliance/withdrawals/{name}", key_id="key-9")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_list_goes_on_page_by_page_by_its_filters(exchange: Exchange) -> None:
    """Newest first; the filters arrive as they were given; rows of one time are told once each."""
    staffed(exchange)
    filed = exchange.filed.filed
    filed[1] = replace(filed[1], created_at_us=3)
    path = "/v1/compliance/withdrawals?limit=2&state=settled&customer_id=1"
    first = (await exchange.call("GET", path, key_id="key-9")).json()
    assert [one["withdrawal_id"][-1] for one in first["withdrawals"]] == ["3", "2"]
    rest = (await exchange.call("GET", f"{path}&cursor={first['next']}", key_id="key-9")).json()
    assert ([one["time_us"] for one in rest["withdrawals"]], rest["next"]) == ([1], None)
    wanted = WithdrawalFilter(customer_id=1, state="settled")
    assert exchange.filed.asked == [(wanted, None, 2), (wanted, (3, str(UUID(int=2))), 2)]
