"""Every refusal, and which one wins when several apply."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, cast

import pytest

from domain.commands import (
    CancelAll,
    CancelOrder,
    MarketRules,
    PlaceOrder,
    SetShardMode,
    SetSymbolState,
)
from domain.errors import RejectReason as R
from domain.events import (
    CancelAccepted,
    CommandRejected,
    Credited,
    Debited,
    OrderAccepted,
    SymbolListed,
)
from domain.fees import FeeRates, fee_table, flat_fees
from domain.money import INT64_MAX
from domain.order import OrderType, SelfTrade, ShardMode, Side, SymbolState, TimeInForce
from tests.matching.desk import (
    BTC,
    BTC_USDT,
    ETH,
    ETH_USDT,
    LISTING,
    RICH,
    USDT,
    Desk,
    only,
    order_id,
    reason,
    why,
)

pytestmark = pytest.mark.usefixtures("each_engine")

_MARKET_IOC = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC, "price": 0}

# In the documented order of precedence: each is refused for its own reason, and for the first
# one when combined with any that come later.
REFUSALS: list[tuple[R, dict[str, Any]]] = [
    (R.MALFORMED_COMMAND, {"account": 0}),
    (R.INVALID_COMBINATION, {"post_only": True, "time_in_force": TimeInForce.IOC}),
    (R.INVALID_PRICE, {"price": 0}),
    (R.INVALID_QUANTITY, {"lots": 0}),
    (R.UNKNOWN_SYMBOL, {"symbol_id": 99}),
    (R.PRICE_OUTSIDE_BAND, {"price": 1_101}),
    (R.QUANTITY_TOO_LARGE, {"lots": 1_000_000_001}),
    (R.INSUFFICIENT_FUNDS, {"account": 3}),
]


def _place(desk: Desk, **fields: Any) -> tuple[Any, ...]:
    whole = {"account": 1, "side": Side.BUY, "price": 1_000, "lots": 10, **fields}
    return desk.order(
        whole.pop("account"), whole.pop("side"), whole.pop("price"), whole.pop("lots"), **whole
    )


@pytest.fixture
def desk() -> Desk:
    """Give a market with two funded accounts and an empty one, 3."""
    desk = Desk()
    desk.fund(1, 2)
    return desk


@pytest.mark.parametrize(("expected", "fields"), REFUSALS, ids=lambda v: getattr(v, "name", ""))
def test_each_refusal_has_no_effect(desk: Desk, expected: R, fields: dict[str, Any]) -> None:
    """A refused order says why, and balances, book and window are as before."""
    before = desk.engine.balances()
    assert reason(_place(desk, client_key=77, **fields)) is expected
    assert desk.engine.balances() == before
    assert desk.engine.book(ETH_USDT, 5) == ([], [])
    assert isinstance(_place(desk, client_key=77)[0], OrderAccepted)


@pytest.mark.parametrize("first", range(len(REFUSALS)))
@pytest.mark.parametrize("second", range(len(REFUSALS)))
def test_the_first_rule_wins(desk: Desk, first: int, second: int) -> None:
    """Of two broken rules the earlier one is named."""
    if first >= second:
        return
    expected, fields = REFUSALS[first]
    assert reason(_place(desk, **{**REFUSALS[second][1], **fields})) is expected


@pytest.mark.parametrize(
    ("expected", "mode"),
    [(R.SHARD_HALTED, ShardMode.HALTED), (R.SHARD_CANCEL_ONLY, ShardMode.CANCEL_ONLY)],
)
def test_a_closed_shard_takes_no_orders(desk: Desk, expected: R, mode: ShardMode) -> None:
    """The shard's mode is checked after the symbol and before the band."""
    desk.run(SetShardMode(mode))
    assert reason(_place(desk)) is expected
    assert reason(_place(desk, price=5_000)) is expected
    assert reason(_place(desk, symbol_id=99)) is R.UNKNOWN_SYMBOL
    desk.run(SetShardMode(ShardMode.NORMAL))
    assert isinstance(_place(desk)[0], OrderAccepted)


@pytest.mark.parametrize(
    ("expected", "state"),
    [(R.SYMBOL_HALTED, SymbolState.HALTED), (R.SYMBOL_CANCEL_ONLY, SymbolState.CANCEL_ONLY)],
)
def test_a_closed_market_takes_no_orders(desk: Desk, expected: R, state: SymbolState) -> None:
    """The market's state is checked after the shard's mode."""
    desk.run(SetSymbolState(ETH_USDT, state))
    assert reason(_place(desk)) is expected
    desk.run(SetShardMode(ShardMode.HALTED))
    assert reason(_place(desk)) is R.SHARD_HALTED


def test_cancel_only_cancels_and_halted_does_not(desk: Desk) -> None:
    """Restricted markets let people out, halted ones stand still."""
    first, second = order_id(_place(desk)), order_id(_place(desk))
    desk.run(SetSymbolState(ETH_USDT, SymbolState.HALTED))
    assert reason(desk.cancel(1, first)) is R.SYMBOL_HALTED
    assert reason(desk.run(CancelOrder(1, 0, first))) is R.SYMBOL_HALTED
    assert reason(desk.cancel_all(1, ETH_USDT)) is R.SYMBOL_HALTED
    assert only(desk.cancel_all(1), CancelAccepted)[0].closed_count == 0
    desk.run(SetSymbolState(ETH_USDT, SymbolState.CANCEL_ONLY))
    assert len(desk.cancel(1, first)) == 2
    desk.run(SetShardMode(ShardMode.HALTED))
    assert reason(desk.cancel(1, second)) is R.SHARD_HALTED
    desk.run(SetShardMode(ShardMode.CANCEL_ONLY))
    assert len(desk.cancel(1, second)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"self_trade": 5},
        {"order_type": 9},
        {"time_in_force": 6},
        {"client_text": "no blanks"},
    ],
)
def test_malformed_orders(desk: Desk, fields: dict[str, Any]) -> None:
    """What no valid client would send is malformed, not accepted by chance."""
    assert reason(_place(desk, **fields)) is R.MALFORMED_COMMAND


def test_an_order_needs_a_key(desk: Desk) -> None:
    """Without a client key there is nothing to retry under."""
    order = PlaceOrder(1, 0, ETH_USDT, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 1_000, 10)
    assert reason(desk.run(order)) is R.MALFORMED_COMMAND


@pytest.mark.parametrize(
    "fields",
    [
        {"order_type": OrderType.MARKET, "price": 0},
        {"order_type": OrderType.MARKET, "price": 0, "post_only": True},
        {"post_only": True, "time_in_force": TimeInForce.FOK},
    ],
)
def test_combinations_that_make_no_sense(desk: Desk, fields: dict[str, Any]) -> None:
    """A market order does not rest, and a post-only order does nothing else."""
    assert reason(_place(desk, **fields)) is R.INVALID_COMBINATION


def test_a_market_order_has_no_price(desk: Desk) -> None:
    """A price on a market order is a mistake of its sender."""
    assert reason(_place(desk, **{**_MARKET_IOC, "price": 5})) is R.INVALID_PRICE


@pytest.mark.parametrize(
    ("side", "price", "accepted"),
    [
        (Side.BUY, 1_100, True),
        (Side.BUY, 1_101, False),
        (Side.BUY, 1, True),
        (Side.SELL, 900, True),
        (Side.SELL, 899, False),
        (Side.SELL, 100_000, True),
    ],
)
def test_band_binds_the_aggressive_side_only(
    desk: Desk, side: Side, price: int, accepted: bool
) -> None:
    """A buy above or a sell below the band is refused; passive prices are free."""
    outcome = _place(desk, side=side, price=price)[0]
    assert isinstance(outcome, OrderAccepted) is accepted
    if not accepted:
        assert reason((outcome,)) is R.PRICE_OUTSIDE_BAND


def test_band_follows_the_last_trade(desk: Desk) -> None:
    """The listing price counts until the first trade, then the last trade does."""
    desk.sell(2, 1_090, 1)
    desk.buy(1, 1_090, 1)
    assert isinstance(_place(desk, price=1_199)[0], OrderAccepted)
    assert reason(_place(desk, price=1_200)) is R.PRICE_OUTSIDE_BAND


def test_open_orders_are_limited_per_account_and_market() -> None:
    """Only orders that may rest count against the limit."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=2),))
    desk.fund(1, 2)
    first = order_id(desk.buy(1, 990, 1))
    desk.buy(1, 990, 1)
    assert reason(desk.buy(1, 990, 1)) is R.TOO_MANY_OPEN_ORDERS
    assert isinstance(desk.buy(1, 990, 1, time_in_force=TimeInForce.IOC)[0], OrderAccepted)
    assert isinstance(desk.buy(2, 990, 1)[0], OrderAccepted)
    desk.cancel(1, first)
    assert isinstance(desk.buy(1, 990, 1)[0], OrderAccepted)


def test_overflow_is_refused() -> None:
    """What does not fit an int64 is refused before funds are looked at."""
    rules = replace(LISTING, max_order_lots=INT64_MAX, band_ppm=10**9)
    desk = Desk(listings=(rules,))
    assert reason(desk.sell(1, 2**40, 2**40)) is R.OVERFLOW
    assert reason(desk.buy(1, 1_000, INT64_MAX // 1_000)) is R.OVERFLOW
    assert reason(desk.sell(1, 1_000, INT64_MAX // 10_000)) is R.OVERFLOW
    assert reason(desk.buy(1, 1_000, 10**12)) is R.INSUFFICIENT_FUNDS


def test_a_buy_holds_price_and_fee_rounded_up() -> None:
    """One unit less than the hold is not enough."""
    desk = Desk()
    assert 999 * 7 * 1 == 6_993  # the fee, 13.986, is held as 14
    desk.credit(1, USDT, 7_006)
    assert reason(desk.buy(1, 999, 7)) is R.INSUFFICIENT_FUNDS
    desk.credit(1, USDT, 1)
    assert only(desk.buy(1, 999, 7), OrderAccepted)[0].hold_units == 7_007
    assert desk.balance(1, USDT) == (7_007, 7_007)


def test_cancel_of_a_foreign_or_unknown_order(desk: Desk) -> None:
    """Nobody reaches another's order, and a closed one is not found."""
    mine = order_id(_place(desk, client_key=5))
    assert reason(desk.cancel(2, mine)) is R.ORDER_NOT_FOUND
    assert reason(desk.cancel(2, client_key=5)) is R.ORDER_NOT_FOUND
    assert reason(desk.cancel(1, mine + 1)) is R.ORDER_NOT_FOUND
    assert reason(desk.run(CancelOrder(1, 9, mine))) is R.UNKNOWN_SYMBOL
    assert reason(desk.run(CancelOrder(0, ETH_USDT, mine))) is R.MALFORMED_COMMAND
    assert len(desk.cancel(1, client_key=5)) == 2
    assert reason(desk.cancel(1, mine)) is R.ORDER_NOT_FOUND
    assert reason(desk.run(CancelAll(0))) is R.MALFORMED_COMMAND


def test_credit_and_debit_checks(desk: Desk) -> None:
    """Money commands are refused for amount, asset, funds and halted shard."""
    assert why(desk.credit(1, USDT, 0)) is R.INVALID_AMOUNT
    assert why(desk.credit(1, 77, 5)) is R.UNKNOWN_ASSET
    assert why(desk.credit(0, USDT, 5)) is R.MALFORMED_COMMAND
    assert why(desk.credit(1, USDT, 5, key=0)) is R.MALFORMED_COMMAND
    assert why(desk.debit(3, USDT, 5)) is R.INSUFFICIENT_FUNDS
    desk.sell(1, 1_000, 10)
    free = RICH - 10 * LISTING.base_units_per_lot
    assert isinstance(desk.debit(1, ETH, free + 1), CommandRejected)
    assert isinstance(desk.debit(1, ETH, free), Debited)
    desk.run(SetShardMode(ShardMode.HALTED))
    assert isinstance(desk.credit(1, USDT, 5), Credited)
    assert why(desk.debit(1, USDT, 5)) is R.SHARD_HALTED


def test_supply_of_an_asset_fits_an_int64(desk: Desk) -> None:
    """A credit that would let any balance overflow is refused, so no trade ever can."""
    left = INT64_MAX - 2 * RICH
    assert isinstance(desk.credit(3, USDT, left), Credited)
    assert why(desk.credit(4, USDT, 1)) is R.OVERFLOW
    desk.debit(3, USDT, 1)
    assert isinstance(desk.credit(4, USDT, 1), Credited)


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        (R.SYMBOL_ALREADY_LISTED, {"symbol_id": ETH_USDT}),
        (R.MALFORMED_COMMAND, {"base_units_per_lot": 0}),
        (R.MALFORMED_COMMAND, {"quote_asset_id": BTC}),
        (R.MALFORMED_COMMAND, {"max_open_orders": 0}),
        (R.MALFORMED_COMMAND, {"band_ppm": -1}),
        (R.MALFORMED_COMMAND, {"max_position_lots": -1}),
        (R.INVALID_FEES, {"max_taker_fee_ppm": 1_000_000}),
        (R.INVALID_FEES, {"fees": flat_fees(0, -1)}),
        (R.FEE_ABOVE_MAXIMUM, {"max_taker_fee_ppm": 1_999}),
        (R.FEE_ABOVE_MAXIMUM, {"fees": flat_fees(2_001, 2_000)}),
        (R.REBATE_ABOVE_TAKER_FEE, {"fees": flat_fees(-2_001, 2_000)}),
        (
            R.REBATE_ABOVE_TAKER_FEE,
            {"fees": fee_table(FeeRates(-500, 2_000), FeeRates(-100, 499))},
        ),
    ],
)
def test_listing_rules(desk: Desk, expected: R, fields: dict[str, Any]) -> None:
    """A market whose fees could cost the exchange money, or that exists, is not listed."""
    listing = replace(LISTING, symbol_id=BTC_USDT, base_asset_id=BTC)
    assert reason(desk.run(replace(listing, **fields))) is expected
    (outcome,) = desk.run(listing)
    assert isinstance(outcome, SymbolListed)
    assert outcome.max_open_orders == listing.max_open_orders


def test_administration_of_unknown_things(desk: Desk) -> None:
    """A state needs a market and a number that means something."""
    assert reason(desk.run(SetSymbolState(9, SymbolState.OPEN))) is R.UNKNOWN_SYMBOL
    assert reason(desk.run(SetSymbolState(ETH_USDT, cast("SymbolState", 9)))) is R.MALFORMED_COMMAND
    assert reason(desk.run(SetShardMode(cast("ShardMode", 9)))) is R.MALFORMED_COMMAND


def test_self_trade_refusal_comes_before_funds(desk: Desk) -> None:
    """An order that would meet its own account first, and must expire, is refused."""
    desk.sell(1, 1_000, 5)
    mode = SelfTrade.EXPIRE_TAKER
    assert reason(desk.buy(1, 1_000, 10**9, self_trade=mode)) is R.SELF_TRADE


def test_listing_needs_every_field() -> None:
    """The record of a listing carries the whole rule set."""
    desk = Desk()
    outcome = desk.events[0]
    assert isinstance(outcome, SymbolListed)
    for field in fields(MarketRules):
        assert getattr(outcome, field.name) == getattr(LISTING, field.name)
