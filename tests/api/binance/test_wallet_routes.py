"""The wallet in the dialect, against the small exchange."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from api.binance.wallet import DEPOSIT_STATUSES, WITHDRAWAL_STATUSES
from domain.deposit import FINAL_STATES, DepositState
from domain.withdrawal import WithdrawalState
from tests.api.address_memory import ADDRESS
from tests.api.binance.clients import ask
from tests.api.exchange import Exchange

WITHDRAWAL: dict[str, Any] = {"coin": "USDT", "amount": "100", "address": ADDRESS, "network": "ETH"}


def test_every_state_has_a_number() -> None:
    """No state of a withdrawal, and no final one of a deposit, is told as pending by oversight."""
    assert set(WITHDRAWAL_STATUSES) == {state.value for state in WithdrawalState}
    assert set(DEPOSIT_STATUSES) == {state.value for state in FINAL_STATES}
    assert set(DEPOSIT_STATUSES) < {state.value for state in DepositState}


async def test_coins_and_their_networks(exchange: Exchange) -> None:
    """Fees and least amounts are those of the native API, as exact decimals."""
    found = (await ask(exchange, "GET", "/sapi/v1/capital/config/getall")).json()
    coins = {one["coin"]: one["networkList"][0] for one in found}
    assert coins["USDT"]["withdrawFee"] == "1"
    assert coins["ETH"]["withdrawMin"] == "0.01"
    assert coins["ETH"]["withdrawIntegerMultiple"] == "0.000000001"


async def test_a_withdrawal_is_written_down_once(exchange: Exchange) -> None:
    """The client's own id makes repeating it safe; the history tells amount and fee apart."""
    path = "/sapi/v1/capital/withdraw/apply"
    first = await ask(exchange, "POST", path, withdrawOrderId="w1", **WITHDRAWAL)
    again = await ask(exchange, "POST", path, withdrawOrderId="w1", **WITHDRAWAL)
    assert first.status_code == 200, first.text
    assert first.json() == again.json()
    assert len(exchange.memory.started) == 1
    (told,) = (await ask(exchange, "GET", "/sapi/v1/capital/withdraw/history")).json()
    assert (told["id"], told["withdrawOrderId"]) == (first.json()["id"], "w1")
    assert (told["amount"], told["transactionFee"], told["status"]) == ("99", "1", 2)
    named = await ask(exchange, "GET", "/sapi/v1/capital/withdraw/history", withdrawOrderId="other")
    assert named.json() == []


async def test_a_history_is_no_longer_than_asked(exchange: Exchange) -> None:
    """Also where the rows that are older than wanted are on the same page."""
    path = "/sapi/v1/capital/withdraw"
    for number in range(3):
        await ask(exchange, "POST", f"{path}/apply", withdrawOrderId=f"w{number}", **WITHDRAWAL)
    written = exchange.memory.withdrawals_written
    for second, (key, (request, record)) in zip((5, 4, 3), list(written.items()), strict=True):
        written[key] = request, replace(record, created_at_us=second * 1_000_000)
    found = await ask(exchange, "GET", f"{path}/history", startTime=4_000, limit=1)
    assert [one["withdrawOrderId"] for one in found.json()] == ["w0"]


async def test_refused_withdrawals(exchange: Exchange) -> None:
    """Funds, address, amount and network each have their code; a missing scope its own."""
    path = "/sapi/v1/capital/withdraw/apply"
    cases: list[tuple[dict[str, Any], int]] = [
        ({"amount": "20000"}, -4051),
        ({"amount": "1000000"}, -4026),
        ({"address": "0x00"}, -4021),
        ({"amount": "0.5"}, -4104),
        ({"network": "BSC"}, -4021),
        ({"coin": "DOGE"}, -1108),
        ({"amount": ""}, -1102),
    ]
    for fields, code in cases:
        answer = await ask(exchange, "POST", path, **{**WITHDRAWAL, **fields})
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    exchange.add_key(1, "trader", "read trade")
    answer = await ask(exchange, "POST", path, key_id="trader", **WITHDRAWAL)
    assert answer.json()["code"] == -2015


async def test_deposit_addresses_are_the_callers_own(exchange: Exchange) -> None:
    """Two customers have two addresses."""
    found = {
        (
            await ask(exchange, "GET", "/sapi/v1/capital/deposit/address", key_id=key, coin="ETH")
        ).json()["address"]
        for key in ("key-1", "key-2")
    }
    assert len(found) == 2


async def test_what_one_balance_cannot_transfer(exchange: Exchange) -> None:
    """On one shard spot and futures are one pot: nothing moves, and no id is made up."""
    answer = await ask(
        exchange, "POST", "/sapi/v1/asset/transfer", asset="USDT", amount="1", type="MAIN_UMFUTURE"
    )
    assert (answer.status_code, answer.json()["code"]) == (400, -9000)
    assert exchange.transfers.started == []


async def test_fees(exchange: Exchange) -> None:
    """Rates are fractions."""
    found = (await ask(exchange, "GET", "/sapi/v1/asset/tradeFee", symbol="ETHUSDT")).json()
    assert found == [{"symbol": "ETHUSDT", "makerCommission": "0.001", "takerCommission": "0.002"}]
