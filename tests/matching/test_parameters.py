"""Changing a listed market's rules, and the limit on what an account may own of its base asset."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from domain.commands import MarketRules, SetAccountTier, SetParameters
from domain.errors import RejectReason as R
from domain.events import OrderAccepted, OrderAmended, ParametersSet, Trade
from domain.fees import FeeRates, fee_table, flat_fees
from domain.order import SelfTrade, Side, TimeInForce
from matching.engine import restore_engine
from tests.matching.desk import (
    BTC,
    BTC_USDT,
    ETH,
    LISTING,
    USDT,
    Desk,
    closes,
    fills,
    only,
    order_id,
    reason,
)

pytestmark = pytest.mark.usefixtures("each_engine")

LOT = LISTING.base_units_per_lot


def _change(desk: Desk, **changes: Any) -> tuple[Any, ...]:
    named = {field.name: getattr(LISTING, field.name) for field in fields(MarketRules)}
    return desk.run(SetParameters(**{**named, **changes}))


@pytest.fixture
def desk() -> Desk:
    """Give a market with two funded accounts."""
    desk = Desk()
    desk.fund(1, 2)
    return desk


def test_a_change_states_old_and_new(desk: Desk) -> None:
    """The outcome has every parameter twice: what it is from here on and what it was."""
    new = {
        "fees": fee_table(FeeRates(-1, 5), FeeRates(2, 3)),
        "band_ppm": 1,
        "max_order_lots": 2,
        "max_open_orders": 3,
        "max_position_lots": 4,
    }
    (outcome,) = only(_change(desk, **new), ParametersSet)
    for name, value in new.items():
        assert getattr(outcome, name) == value
        assert getattr(outcome, f"previous_{name}") == getattr(LISTING, name)
    (back,) = only(_change(desk), ParametersSet)
    assert back.previous_fees == new["fees"]


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (R.MALFORMED_COMMAND, {"symbol_id": 0}),
        (R.MALFORMED_COMMAND, {"band_ppm": -1}),
        (R.MALFORMED_COMMAND, {"max_order_lots": 0}),
        (R.MALFORMED_COMMAND, {"max_open_orders": 0}),
        (R.MALFORMED_COMMAND, {"max_position_lots": -1}),
        (R.UNKNOWN_SYMBOL, {"symbol_id": BTC_USDT}),
        (R.FIXED_PARAMETER, {"base_asset_id": BTC}),
        (R.FIXED_PARAMETER, {"quote_asset_id": BTC}),
        (R.FIXED_PARAMETER, {"base_units_per_lot": LOT + 1}),
        (R.FIXED_PARAMETER, {"quote_units_per_tick_lot": 2}),
        (R.FIXED_PARAMETER, {"listing_price_ticks": 999}),
        (R.FIXED_PARAMETER, {"max_taker_fee_ppm": 3_000}),
        (R.FEE_ABOVE_MAXIMUM, {"fees": flat_fees(0, 2_001)}),
        (R.REBATE_ABOVE_TAKER_FEE, {"fees": flat_fees(-2, 1)}),
        (R.INVALID_FEES, {"fees": flat_fees(0, -1)}),
    ],
)
def test_what_may_not_change(desk: Desk, expected: R, changes: dict[str, Any]) -> None:
    """Grid, assets and the rate of holds are the listing's; the rest obeys the listing's rules."""
    before = desk.engine.snapshot()
    assert reason(_change(desk, **changes)) is expected
    other = Desk()
    other.engine, other.time_us = restore_engine(before), desk.time_us
    for each in (desk, other):
        each.sell(1, 1_000, 1_000)
    assert fills(desk.buy(2, 1_000, 9)) == fills(other.buy(2, 1_000, 9))
    assert desk.engine.fees() == other.engine.fees()


def test_new_fees_count_from_the_next_fill(desk: Desk) -> None:
    """Resting orders are charged by the rates in force when they trade; their hold stays."""
    resting = order_id(desk.buy(1, 1_000, 2_000))
    held = desk.balance(1, USDT)[1]
    first = only(desk.sell(2, 1_000, 1_000), Trade)[0]
    _change(desk, fees=flat_fees(-300, 300))
    assert desk.balance(1, USDT)[1] == held // 2
    second = only(desk.sell(2, 1_000, 1_000), Trade)[0]
    assert (first.maker_fee_units, first.taker_fee_units) == (1_000, 2_000)
    assert (second.maker_fee_units, second.taker_fee_units) == (-300, 300)
    assert desk.engine.order(1, resting).status.name == "FILLED"  # type: ignore[union-attr]
    assert desk.balance(1, USDT)[1] == 0


def test_a_new_band_is_in_force_at_once(desk: Desk) -> None:
    """A price that was inside is refused after the band narrowed, and accepted after it widened."""
    assert isinstance(desk.buy(1, 1_100, 1)[0], OrderAccepted)
    _change(desk, band_ppm=10_000)
    assert reason(desk.buy(1, 1_011, 1)) is R.PRICE_OUTSIDE_BAND
    _change(desk, band_ppm=500_000)
    assert isinstance(desk.buy(1, 1_500, 1)[0], OrderAccepted)


def test_new_limits_bind_new_orders_only(desk: Desk) -> None:
    """Orders beyond the new limits stay; what comes next is measured by them."""
    for _ in range(3):
        desk.buy(1, 900, 50)
    _change(desk, max_order_lots=40, max_open_orders=3)
    assert len(desk.engine.open_orders(1)) == 3
    assert reason(desk.buy(2, 900, 41)) is R.QUANTITY_TOO_LARGE
    assert reason(desk.buy(1, 900, 1)) is R.TOO_MANY_OPEN_ORDERS


def test_parameters_survive_a_snapshot(desk: Desk) -> None:
    """A restored engine has the changed rules, not the listing's."""
    _change(desk, fees=flat_fees(0, 100), max_position_lots=10**11)
    other = restore_engine(desk.engine.snapshot())
    assert other.digest() == desk.engine.digest()
    desk.engine = other
    desk.sell(1, 1_000, 1_000)
    assert only(desk.buy(2, 1_000, 1_000), Trade)[0].taker_fee_units == 100


# ---- the position limit -----------------------------------------------------------------------


@pytest.fixture
def limited() -> Desk:
    """Give a market where nobody may own more than 100 lots; accounts 3 and 4 own nothing of it."""
    desk = Desk(listings=(replace(LISTING, max_position_lots=100),))
    desk.fund(3, 4, assets=(USDT,))
    desk.fund(5)
    return desk


def _room(desk: Desk, account: int) -> int:
    """Return how many lots the account may still buy: the limit refuses one more than that."""
    low, high = 0, 101
    while low < high:
        lots = (low + high + 1) // 2
        trial = Desk()
        trial.engine, trial.time_us = restore_engine(desk.engine.snapshot()), desk.time_us
        if isinstance(trial.buy(account, 900, lots)[0], OrderAccepted):
            low = lots
        else:
            high = lots - 1
    return low


def test_what_is_owned_and_what_open_buys_may_add_count(limited: Desk) -> None:
    """Room shrinks with buys and credits, and grows with cancels, amends, sales and debits."""
    assert _room(limited, 3) == 100
    first = order_id(limited.buy(3, 1_000, 60))
    assert _room(limited, 3) == 40
    limited.sell(5, 1_000, 25)
    assert _room(limited, 3) == 40
    limited.credit(3, ETH, 10 * LOT)
    assert _room(limited, 3) == 30
    limited.amend(3, first, quantity_lots=50)
    assert _room(limited, 3) == 40
    limited.amend(3, first, price_ticks=999, quantity_lots=55)
    assert _room(limited, 3) == 35
    limited.cancel(3, first)
    assert _room(limited, 3) == 65
    limited.sell(3, 1_000, 35)
    assert _room(limited, 3) == 65
    limited.buy(4, 1_000, 20)
    assert _room(limited, 3) == 85
    limited.cancel_all(3)
    limited.debit(3, ETH, 15 * LOT - 1)
    assert _room(limited, 3) == 99
    limited.debit(3, ETH, 1)
    assert _room(limited, 3) == 100


def test_a_part_of_a_lot_counts(limited: Desk) -> None:
    """The limit is compared in engine units, so that one unit too much is too much."""
    limited.credit(3, ETH, 1)
    assert reason(limited.buy(3, 900, 100)) is R.POSITION_LIMIT
    assert isinstance(limited.buy(3, 900, 99)[0], OrderAccepted)


@pytest.mark.parametrize("time_in_force", [TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])
def test_every_buy_is_measured(limited: Desk, time_in_force: TimeInForce) -> None:
    """Limit, market and budget buys of any time in force are refused one lot beyond the limit."""
    limited.sell(5, 1_000, 500)
    assert reason(limited.buy(3, 1_000, 101, time_in_force=time_in_force)) is R.POSITION_LIMIT
    assert reason(limited.market(3, Side.BUY, 101)) is R.POSITION_LIMIT
    assert reason(limited.spend(3, 101 * 1_002)) is R.POSITION_LIMIT
    assert len(fills(limited.spend(3, 100 * 1_002))) == 1
    assert limited.balance(3, ETH)[0] == 100 * LOT
    assert reason(limited.buy(3, 900, 1)) is R.POSITION_LIMIT


def test_who_is_above_may_sell_and_reprice(limited: Desk) -> None:
    """A credit is never refused; what does not add to the position is not either."""
    resting = order_id(limited.buy(3, 900, 50))
    limited.credit(3, ETH, 500 * LOT)
    assert reason(limited.buy(3, 900, 1)) is R.POSITION_LIMIT
    assert reason(limited.amend(3, resting, quantity_lots=51)) is R.POSITION_LIMIT
    assert isinstance(limited.amend(3, resting, price_ticks=901)[0], OrderAmended)
    assert isinstance(limited.amend(3, resting, quantity_lots=49)[0], OrderAmended)
    assert isinstance(limited.sell(3, 1_000, 400)[0], OrderAccepted)


def test_shrinking_against_oneself_gives_room_back(limited: Desk) -> None:
    """What self-trade prevention takes from a resting buy no longer counts."""
    limited.credit(3, ETH, 40 * LOT)
    resting = order_id(limited.buy(3, 1_000, 60))
    assert _room(limited, 3) == 0
    limited.sell(3, 1_000, 20, self_trade=SelfTrade.DECREMENT)
    assert _room(limited, 3) == 20
    events = limited.sell(3, 1_000, 20, self_trade=SelfTrade.EXPIRE_MAKER)
    assert closes(events) == [(resting, "SELF_TRADE")]
    assert _room(limited, 3) == 60


def test_expiry_and_restored_orders_count(limited: Desk) -> None:
    """Open buys come back from a snapshot with all they may still buy; an expired one is gone."""
    deadline = limited.time_us + 60_000_000
    limited.buy(3, 900, 70, time_in_force=TimeInForce.GTD, expires_at_us=deadline)
    limited.engine = restore_engine(limited.engine.snapshot())
    assert _room(limited, 3) == 30
    limited.wait(61)
    assert _room(limited, 3) == 100


def test_the_limit_comes_after_the_others_and_before_the_book(limited: Desk) -> None:
    """Precedence: too many open orders, then the position, then post-only, then funds."""
    limited.sell(5, 1_000, 10)
    assert reason(limited.buy(3, 1_000, 101, post_only=True)) is R.POSITION_LIMIT
    assert reason(limited.buy(9, 1_000, 101)) is R.POSITION_LIMIT
    assert reason(limited.buy(9, 1_000, 100)) is R.INSUFFICIENT_FUNDS


def test_a_limit_may_come_and_go(desk: Desk) -> None:
    """Set on a running market it counts what is there already; 0 takes it away."""
    empty = Desk()
    empty.fund(3, assets=(USDT,))
    empty.buy(3, 900, 80)
    _change(empty, max_position_lots=100)
    assert reason(empty.buy(3, 900, 21)) is R.POSITION_LIMIT
    assert isinstance(empty.buy(3, 900, 20)[0], OrderAccepted)
    _change(empty, max_position_lots=0)
    assert isinstance(empty.buy(3, 900, 10**6)[0], OrderAccepted)


def test_huge_numbers_do_not_wrap() -> None:
    """Limit and order at the edge of 64 bits are compared exactly."""
    most = 2**63 - 1
    listing = replace(LISTING, max_position_lots=most, max_order_lots=most)
    desk = Desk(listings=(listing,))
    desk.fund(3, assets=(USDT,))
    assert reason(desk.buy(3, 1_000, most)) is R.OVERFLOW
    desk.buy(3, 1_000, 10)
    assert reason(desk.buy(3, 1_000, most)) is R.POSITION_LIMIT
    assert reason(desk.run(SetAccountTier(0, 1))) is R.MALFORMED_COMMAND
