"""What backs perpetuals: what orders may use of it, and what may leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest_asyncio

from api.account_state import account_state
from domain.commands import Debit
from domain.errors import RejectReason
from domain.events import CommandRejected, Debited, PerpetualStateSet
from domain.risk_commands import SetPerpetualState, Trigger
from tests.api.address_memory import ADDRESS
from tests.api.memory import ALICE, USDT
from tests.api.perpetual_exchange import ETH_PERP, MIDDLE, PerpetualExchange


@pytest_asyncio.fixture
async def perps() -> AsyncIterator[PerpetualExchange]:
    """Give an exchange where the first customer is 10 long with a leverage of 50."""
    made = PerpetualExchange()
    await made.buy("10", leverage=50)
    yield made
    await made.http.aclose()


async def usdt(perps: PerpetualExchange) -> dict[str, Any]:
    """Return the first customer's USDT."""
    balances = (await perps.call("GET", "/v1/balances")).json()["balances"]
    return next(dict(one) for one in balances if one["asset"] == "USDT")


async def test_a_balance_says_what_is_for_orders_and_what_may_leave(
    perps: PerpetualExchange,
) -> None:
    """Unrealised profit is for orders only, margin for neither; both follow the formulas."""
    perps.move(MIDDLE + 10_000)
    order = {"type": "limit", "price": "2550", "quantity": "4"}
    assert (await perps.perpetual(**order)).json()["status"] == "open"
    found = await usdt(perps)
    part = {
        name: Decimal(text)
        for name, text in found.items()
        if isinstance(text, str) and name != "asset"
    }
    cash = Decimal("9987.499")
    assert (part["total"], part["unrealised_profit"]) == (cash, Decimal(998))
    assert part["margin"] == 14 * 2_600 * Decimal("0.02")  # with the order that is open
    assert part["available"] == cash + part["unrealised_profit"] - part["margin"]
    assert part["withdrawable"] < part["available"]
    (shard,) = found["shards"]
    assert {name: found[name] for name in ("available", "withdrawable", "margin")} == {
        name: shard[name] for name in ("available", "withdrawable", "margin")
    }
    (cross,) = (await perps.call("GET", "/v1/positions")).json()["cross"]
    assert (cross["available"], cross["withdrawable"]) == (
        found["available"],
        found["withdrawable"],
    )
    state = await account_state(perps.services, 0, ALICE)
    told = next(one for one in state["balances"] if one["asset"] == "USDT")
    assert {name: found[name] for name in told} == told


async def test_the_engine_lets_go_just_what_is_withdrawable(perps: PerpetualExchange) -> None:
    """A unit more is refused; the unit that was told is not."""
    units = USDT.engine_units((await usdt(perps))["withdrawable"])
    keys = iter(range(20_000, 20_009))

    def debit(amount: int) -> object:
        made = Debit(next(keys), ALICE, USDT.asset_id, amount, perps.door.time_us)
        return perps.door.apply(made)[0]

    assert isinstance(debit(units + 1), CommandRejected)
    assert isinstance(debit(units), Debited)
    assert (await usdt(perps))["withdrawable"] == "0"


async def test_spot_orders_hold_what_margin_leaves(perps: PerpetualExchange) -> None:
    """They take it off both; an order for more is told what is left."""
    before = await usdt(perps)
    assert (await perps.place(price="2500", quantity="1")).status_code == 201
    after = await usdt(perps)
    for name in ("available", "withdrawable"):
        assert Decimal(before[name]) - Decimal(after[name]) == Decimal("2505")
    assert after["in_orders"] == "2505"
    refused = (await perps.place(price="2500", quantity="900")).json()
    assert (refused["code"], refused["available"]) == ("insufficient_funds", after["withdrawable"])


async def test_refusals_name_what_is_withdrawable(perps: PerpetualExchange) -> None:
    """Of a withdrawal at once, and of a transfer before it is written down."""
    left = (await usdt(perps))["withdrawable"]
    more = str(Decimal(left) + 1)
    headers = {"Idempotency-Key": "k"}
    body = {"asset": "USDT", "amount": more, "address": ADDRESS}
    refused = await perps.call("POST", "/v1/withdrawals", body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "insufficient_funds")
    assert f"{left} USDT are withdrawable" in refused.json()["detail"]
    move = {"asset": "USDT", "amount": more, "from_shard": 0, "to_shard": None}
    refused = await perps.call("POST", "/v1/transfers", move, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "insufficient_funds")
    assert f"{left} USDT are withdrawable" in refused.json()["detail"]
    assert perps.transfers.rows == {}
    assert (
        await perps.call("POST", "/v1/transfers", move | {"amount": left}, headers=headers)
    ).status_code == 202


async def test_isolated_cash_is_part_of_the_total(perps: PerpetualExchange) -> None:
    """What a position has of its own is neither free nor gone."""
    await perps.perpetual(side="sell", quantity=..., close_position=True)
    whole = await usdt(perps)
    mode = {"symbol": ETH_PERP.symbol, "mode": "isolated"}
    assert (await perps.call("POST", "/v1/margin-mode", mode)).is_success
    move = {
        "symbol": ETH_PERP.symbol, "direction": "in", "amount": "500", "move_id": "m",
        "created_at_us": perps.door.time_us,
    }  # fmt: skip
    assert (await perps.call("POST", "/v1/margin", move)).is_success
    found = await usdt(perps)
    assert (found["total"], found["isolated_margin"]) == (whole["total"], "500")
    assert Decimal(whole["available"]) - Decimal(found["available"]) == 500


async def test_an_uncovered_loss_keeps_collateral_in_its_shard(perps: PerpetualExchange) -> None:
    """Nobody's leaves, and everybody is told why; orders go on. A resumed market lets it go."""
    before = await usdt(perps)
    shortfall = SetPerpetualState(ETH_PERP.symbol_id, Trigger.SHORTFALL, "risk", "a drill")
    assert isinstance(perps.door.apply(shortfall)[0], PerpetualStateSet)
    found = await usdt(perps)
    assert found["withdrawable"] == "0"
    same = ("total", "available", "margin", "in_orders", "unrealised_profit")
    assert [found[name] for name in same] == [before[name] for name in same]
    headers = {"Idempotency-Key": "gated"}
    out = {"asset": "USDT", "amount": "100", "address": ADDRESS}
    over = {"asset": "USDT", "amount": "100", "from_shard": 0, "to_shard": None}
    for path, body in (("/v1/withdrawals", out), ("/v1/transfers", over)):
        refused = await perps.call("POST", path, body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "collateral_gated")
        assert "no USDT leaves the shard until an operator resumes" in refused.json()["detail"]
    assert (perps.transfers.rows, refused.json()["retryable"]) == ({}, True)
    debit = Debit(30_000, ALICE, USDT.asset_id, 1, perps.door.time_us)
    (told,) = perps.door.apply(debit)
    assert isinstance(told, CommandRejected)
    assert told.reason is RejectReason.COLLATERAL_GATED
    assert (await perps.place(price="2500", quantity="1")).status_code == 201
    perps.door.apply(replace(shortfall, trigger=Trigger.RESUME))
    moved = await perps.call("POST", "/v1/transfers", over, headers=headers)
    assert moved.status_code == 202
