"""What a taking order needs: its fills at their prices, the rest at its limit."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import risk_commands as r
from domain.commands import AmendOrder
from domain.errors import RejectReason as R
from domain.events import OrderAccepted
from domain.limits import MAX_PLAYED
from domain.order import OrderType, SelfTrade, Side, TimeInForce
from domain.perpetual_record import ScopeMargin
from tests.examples import examples
from tests.matching.perpetual_desk import PERP, PerpetualDesk, refusal

pytestmark = pytest.mark.usefixtures("each_engine")

FOK: dict[str, Any] = {"time_in_force": TimeInForce.FOK}
IOC: dict[str, Any] = {"time_in_force": TimeInForce.IOC}
TAKER, LEVERAGE, NOTIONAL = 5, 50, 10_000  # of a lot at mark


@pytest.fixture
def desk() -> PerpetualDesk:
    """Return an open perpetual without orders; the taker may have 50 times his money."""
    made = PerpetualDesk()
    made.fund(1, 2, 3)
    for account in (1, 2, 3, TAKER):
        made.leverage(account, LEVERAGE)
    made.cancel_all(90)
    return made


def fund(desk: PerpetualDesk, lots: int, loss_ticks: int, fee_ticks: int = 1_100) -> int:
    """Give the taker what so many lots need with that loss, and one unit less; return that."""
    fee = -(-fee_ticks * 10 * lots * 500 // 10**6)
    units = NOTIONAL * lots // LEVERAGE + loss_ticks * 10 + fee
    desk.fund(TAKER, units=units - 1)
    return units - 1


def fits(desk: PerpetualDesk, **order: Any) -> None:
    """Hold that an order is refused, and with one unit more taken."""
    place = {"symbol_id": PERP, **order}
    assert refusal(desk.order(TAKER, **place)) is R.INSUFFICIENT_MARGIN
    desk.fund(TAKER, units=1)
    assert refusal(desk.order(TAKER, **place)) is R.NONE


def market(side: Side, lots: int, **other: Any) -> dict[str, Any]:
    """Return a market order."""
    kind = {"order_type": OrderType.MARKET, **IOC}
    return {"side": side, "price": 0, "lots": lots, **kind, **other}


def test_a_market_order_pays_what_the_book_asks(desk: PerpetualDesk) -> None:
    """Not the band's edge: at a leverage of 50 that alone would be five times the margin."""
    desk.sell(1, 1_001, 6)
    desk.sell(2, 1_003, 50)
    fund(desk, 10, 6 * 1 + 4 * 3)
    fits(desk, **market(Side.BUY, 10))
    assert desk.lots(TAKER) == 10
    scope = desk.scope(TAKER)
    assert scope.equity_units >= scope.required_units


def test_better_prices_than_the_mark_earn_nothing_in_advance(desk: PerpetualDesk) -> None:
    """What a fill would gain does not back another's loss: it might not come about."""
    desk.sell(1, 990, 5)
    desk.sell(2, 1_002, 5)
    fund(desk, 10, 5 * 2)
    fits(desk, **market(Side.BUY, 10))


def test_only_what_can_trade_counts(desk: PerpetualDesk) -> None:
    """Of an immediate order for a hundred lots the three that there are; a seller's as well."""
    desk.buy(1, 998, 3)
    fund(desk, 3, 3 * 2, fee_ticks=1_000)
    fits(desk, side=Side.SELL, price=990, lots=100, **IOC)
    assert desk.lots(TAKER) == -3


def test_the_rest_of_a_limit_order_stands_at_its_limit(desk: PerpetualDesk) -> None:
    """The taking part at the maker's price, what comes to rest as any order that rests."""
    desk.sell(1, 1_001, 4)
    fund(desk, 10, 4 * 1 + 6 * 5, fee_ticks=1_005)
    fits(desk, side=Side.BUY, price=1_005, lots=10)
    assert desk.scope(TAKER).required_units == NOTIONAL * 10 // LEVERAGE + 6 * 5 * 10


def test_fill_or_kill_pays_its_sweep(desk: PerpetualDesk) -> None:
    """All or nothing, at the prices of all."""
    desk.sell(1, 1_001, 4)
    desk.sell(2, 1_002, 6)
    fund(desk, 10, 4 + 12, fee_ticks=1_050)
    fits(desk, side=Side.BUY, price=1_050, lots=10, **FOK)
    assert desk.lots(TAKER) == 10


def test_what_an_iceberg_hides_counts_at_its_price(desk: PerpetualDesk) -> None:
    """It would trade at once, slice by slice."""
    desk.sell(1, 1_001, 10, display_lots=2)
    desk.sell(2, 1_090, 10)
    fund(desk, 10, 10)
    fits(desk, **market(Side.BUY, 10))


@pytest.mark.parametrize(
    ("mode", "lots", "loss"),
    [
        (SelfTrade.EXPIRE_MAKER, 10, 2 * 1 + 8 * 4),
        (SelfTrade.EXPIRE_BOTH, 2, 2 * 1),
        (SelfTrade.EXPIRE_TAKER, 2, 2 * 1),
        (SelfTrade.DECREMENT, 9, 2 * 1 + 7 * 4),
    ],
)
def test_own_orders_are_not_traded_with(
    desk: PerpetualDesk, mode: SelfTrade, lots: int, loss: int
) -> None:
    """They are passed over, end the order, or shrink it."""
    desk.sell(1, 1_001, 2)
    money = fund(desk, lots, loss)
    assert refusal(desk.sell(TAKER, 1_002, 1)) is R.NONE
    desk.sell(2, 1_004, 20)
    assert desk.scope(TAKER).cash_units == money
    fits(desk, **market(Side.BUY, 10, self_trade=mode))
    assert desk.lots(TAKER) == lots


def test_who_would_be_closed_is_passed_over() -> None:
    """A maker without money for his own fill gives no price: the next one does."""
    desk = PerpetualDesk()
    desk.fund(1, 2, 3, units=10**7)
    desk.fund(6, units=21_000)
    for account in (1, 2, 3, TAKER, 6):
        desk.leverage(account, LEVERAGE)
    desk.cancel_all(90)
    desk.sell(6, 1_005, 100)
    desk.index(1_095)
    mark = desk.perpetual.mark_ticks
    desk.sell(2, mark + 5, 100)
    lots = 100
    edge = mark * 11 // 10
    fee = -(-edge * 10 * lots * 500 // 10**6)
    desk.fund(TAKER, units=-(-mark * 10 * lots // LEVERAGE) + 5 * 10 * lots + fee - 1)
    fits(desk, **market(Side.BUY, lots))
    assert desk.lots(TAKER) == lots
    assert desk.lots(6) == 0


def test_a_long_book_counts_at_the_limit_beyond_what_is_played(desk: PerpetualDesk) -> None:
    """One lot an order: what the last of them leave is counted as if it were the worst."""
    for number in range(MAX_PLAYED + 50):
        desk.sell(1 + number // 60, 1_001, 1)
    lots = MAX_PLAYED + 50
    fund(desk, lots, MAX_PLAYED * 1 + 50 * 100)
    fits(desk, **market(Side.BUY, lots))
    assert desk.lots(TAKER) == lots


def test_an_amended_order_takes_as_a_new_one(desk: PerpetualDesk) -> None:
    """Its own lots count as free, its fills at the book's prices."""
    desk.sell(1, 1_001, 10)
    fund(desk, 10, 10, fee_ticks=1_050)
    (accepted, *_) = desk.buy(TAKER, 990, 8)
    assert isinstance(accepted, OrderAccepted)
    amend = AmendOrder(TAKER, PERP, accepted.order_id, 0, 1_050, 10)
    assert refusal(desk.run(amend)) is R.INSUFFICIENT_MARGIN
    desk.fund(TAKER, units=1)
    assert refusal(desk.run(amend)) is R.NONE
    assert desk.lots(TAKER) == 10


class Book:
    """Draw a book of makers rich and poor, and orders that take from it."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.desk = desk = PerpetualDesk()
        desk.cancel_all(90)
        desk.fund(1, 2, units=10**8)
        for account in (3, 4, TAKER):
            desk.fund(account, units=chance.choice((3_000, 9_000, 30_000)))
        for account in (1, 2, 3, 4, TAKER):
            desk.leverage(account, chance.choice((10, 20, LEVERAGE)))
        if chance.random() < 0.3:
            desk.run(r.SetMarginMode(TAKER, PERP, r.MarginMode.ISOLATED))
            desk.run(r.MoveMargin(10**8, TAKER, PERP, 2_900, desk.time_us))

    def stand(self) -> None:
        """Let a maker quote, seldom the taker himself; now and then only to reduce."""
        chance = self.chance
        side = Side(chance.randint(0, 1))
        account = chance.choice((1, 2, 3, 4, 4, TAKER))
        away = chance.randint(-25, 60)
        price = self.desk.perpetual.mark_ticks + (away if side is Side.SELL else -away)
        lots = chance.choice((1, 2, 5, 12, 40))
        reduces = chance.random() < 0.2
        display = 1 if lots > 1 and chance.random() < 0.3 else 0
        self.desk.order(account, side, price, lots, reduce_only=reduces, display_lots=display)

    def take(self) -> None:
        """Let the taker take, and hold that what he was let in with covers what he then has."""
        chance, desk = self.chance, self.desk
        side = Side(chance.randint(0, 1))
        lots = chance.choice((1, 3, 8, 20, 45))
        order: dict[str, Any] = market(side, lots)
        if chance.random() < 0.6:
            tif = chance.choice((TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK))
            price = desk.perpetual.mark_ticks + chance.randint(-40, 80) * (1 - 2 * side)
            order = {"side": side, "price": price, "lots": lots, "time_in_force": tif}
        held, before = desk.lots(TAKER), self.scope()
        events = desk.order(TAKER, **order, self_trade=chance.choice(list(SelfTrade)))
        if refusal(events) is not R.NONE:
            return
        scope = self.scope()
        if abs(desk.lots(TAKER)) > abs(held):  # what only closes is let in with less
            assert scope.equity_units >= scope.required_units
        assert scope.equity_units >= min(0, before.equity_units)

    def scope(self) -> ScopeMargin:
        """Return what backs the taker here."""
        position = self.desk.position(TAKER)
        return self.desk.scope(TAKER, PERP if position is not None and position.mode else 0)

    def move(self) -> None:
        """Let the index, and so the mark, go somewhere near."""
        self.desk.index(1_000 + self.chance.randint(-45, 45))


@settings(max_examples=examples(60))
@given(st.integers(0, 2**32))
def test_who_is_let_in_stays_covered_by_his_own_fills(seed: int) -> None:
    """At the mark equity covers all that margin needs, after any order that adds to a position."""
    book = Book(seed)
    for _ in range(40):
        book.chance.choices((book.stand, book.take, book.move), (6, 3, 1))[0]()
