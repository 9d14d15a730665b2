"""Statements: every line is what was booked, and the lines add up to what the balance did."""

from __future__ import annotations

import csv
import io
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from api import statements
from domain.events import PerpetualTrade, Trade
from domain.order_record import FillRecord
from domain.wallet_record import DepositRecord, NewWithdrawal, WithdrawalRecord
from tests.api.address_memory import ADDRESS
from tests.api.memory import ALICE, ETH, USDT
from tests.api.perpetual_exchange import PerpetualExchange

_END = 2**53


@pytest_asyncio.fixture
async def perps() -> AsyncIterator[PerpetualExchange]:
    """Give an exchange whose perpetual trades."""
    made = PerpetualExchange()
    yield made
    await made.http.aclose()


def settle(exchange: PerpetualExchange) -> None:
    """Let the stores know alice's fills, as settlement would write them; a second each."""
    found: list[FillRecord] = []
    for event in exchange.door.events:
        if isinstance(event, Trade | PerpetualTrade):
            for is_maker in (True, False):
                owner = event.maker_account_id if is_maker else event.taker_account_id
                if owner == ALICE:
                    found.append(_fill(event, len(found), is_maker=is_maker))
    exchange.memory.own_fills[ALICE] = found


def _fill(event: Trade | PerpetualTrade, number: int, *, is_maker: bool) -> FillRecord:
    maker, realised, insurance = is_maker, None, None
    if isinstance(event, PerpetualTrade):
        realised = event.maker_realised_units if maker else event.taker_realised_units
        insurance = 0 if maker else event.insurance_units
    return FillRecord(
        shard=0,
        sequence=event.sequence,
        index=event.index,
        time_us=number * 1_000_000,
        trade_id=event.trade_id,
        order_id=event.maker_order_id if maker else event.taker_order_id,
        symbol_id=event.symbol_id,
        side=event.taker_side.opposite if maker else event.taker_side,
        is_maker=maker,
        price_ticks=event.price_ticks,
        quantity_lots=event.quantity_lots,
        quote_units=event.quote_units,
        fee_units=event.maker_fee_units if maker else event.taker_fee_units,
        realised_units=realised,
        insurance_units=insurance,
    )


async def statement(exchange: PerpetualExchange, query: str = f"from_us=0&to_us={_END}") -> Any:
    """Return alice's statement."""
    answer = await exchange.call("GET", f"/v1/statements?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_lines_add_up_to_the_balance(perps: PerpetualExchange) -> None:
    """Maker and taker, spot and perpetual: to the last unit."""
    before = perps.door.engine.account_balances(ALICE)
    await perps.place("key-2", side="sell", price="2490.01", quantity="0.3333")
    await perps.place(price="2500", quantity="1.7")
    await perps.place("key-2", side="sell", price="2499.99", quantity="0.0101")
    await perps.buy("1.234", leverage=10)
    perps.move(251_000)
    await perps.perpetual(side="sell", quantity="0.5")
    settle(perps)
    lines = (await statement(perps))["lines"]
    assert {line["kind"] for line in lines} == {"trade", "fee", "realised_profit"}
    changes: Counter[str] = Counter()
    for line in lines:
        changes[line["asset"]] += Decimal(line["change"])  # type: ignore[assignment]
    after = perps.door.engine.account_balances(ALICE)
    for asset in (USDT, ETH):
        units = after[asset.asset_id][0] - before[asset.asset_id][0]
        assert changes[asset.code] == Decimal(asset.engine_text(units)), asset.code
    assert [line["time_us"] for line in lines] == sorted(line["time_us"] for line in lines)


async def test_what_is_final_of_the_wallet_is_there(perps: PerpetualExchange) -> None:
    """Credited deposits and settled withdrawals, their fee apart; the others are not yet."""
    deposit = DepositRecord("d1", USDT.asset_id, 10**9, "credited", 2, "0x", ADDRESS, None, 5)
    perps.memory.own_deposits[ALICE] = [
        deposit,
        replace(deposit, deposit_id="d2", state="confirming"),
    ]
    paid = WithdrawalRecord(
        uuid.UUID(int=7), "k", USDT.asset_id, 20_000_000, 1_000_000, ADDRESS, "settled", "settle",
        None, "0x", 6,
    )  # fmt: skip
    asked = NewWithdrawal(ALICE, "k", USDT.asset_id, 0, paid.amount, paid.fee, ADDRESS, "r")
    perps.memory.withdrawals_written[ALICE, "k"] = (asked, paid)
    perps.memory.withdrawals_written[ALICE, "l"] = (asked, replace(paid, state="requested"))
    lines = (await statement(perps))["lines"]
    told = [(line["kind"], line["change"], line["reference"]) for line in lines]
    number = str(uuid.UUID(int=7))
    assert told == [
        ("deposit", "1000", "d1"),
        ("withdrawal", "-19", number),
        ("withdrawal_fee", "-1", number),
    ]


async def test_the_period_begins_with_its_first_moment(perps: PerpetualExchange) -> None:
    """From its beginning on, before its end; by default the thirty days before now."""
    await perps.place("key-2", side="sell", quantity="0.3")
    for _ in range(3):
        await perps.place(quantity="0.1")
    settle(perps)
    assert (await statement(perps, "from_us=3000000"))["lines"] == []
    found = await statement(perps, "from_us=1000000&to_us=2000000")
    assert {line["time_us"] for line in found["lines"]} == {1_000_000}
    usual = await statement(perps, "")
    assert usual["to_us"] - usual["from_us"] == 30 * 24 * 3_600 * 1_000_000
    wrong = await perps.call("GET", "/v1/statements?from_us=2&to_us=1")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_field")


async def test_a_statement_as_csv(perps: PerpetualExchange) -> None:
    """The same lines in the same order, with a header, to be kept as a file."""
    await perps.place("key-2", side="sell", quantity="0.3")
    await perps.place(quantity="0.3")
    settle(perps)
    lines = (await statement(perps))["lines"]
    answer = await perps.call("GET", f"/v1/statements?from_us=0&to_us={_END}&format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows == [
        {name: "" if value is None else str(value) for name, value in line.items()}
        for line in lines
    ]


async def test_pages_are_put_together_and_too_many_refused(
    perps: PerpetualExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the stores' pages are, nothing is left out or told twice."""
    await perps.place("key-2", side="sell", quantity="0.7")
    for _ in range(7):
        await perps.place(quantity="0.1")
    settle(perps)
    whole = await statement(perps)
    monkeypatch.setattr(statements, "_PAGE", 3)
    assert await statement(perps) == whole
    monkeypatch.setattr(statements, "LONGEST_STATEMENT", 4)
    answer = await perps.call("GET", f"/v1/statements?from_us=0&to_us={_END}")
    assert (answer.status_code, answer.json()["code"]) == (422, "statement_too_long")
