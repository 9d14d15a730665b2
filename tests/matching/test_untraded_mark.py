"""The mark of a book in which nobody trades, after its index has jumped (ADR 29)."""

from __future__ import annotations

import pytest

from domain.errors import RejectReason as R
from domain.order import Side
from domain.perpetual_state import PerpetualState
from tests.matching.perpetual_desk import PerpetualDesk, refusal

pytestmark = pytest.mark.usefixtures("each_engine")

OLD, NEW = 1_000, 1_060  # of the index; quotes stay around the first


@pytest.fixture
def desk() -> PerpetualDesk:
    """Return an open perpetual, last traded at the old index; 3 is short with all his money."""
    made = PerpetualDesk()
    made.fund(1, 2)
    made.fund(3, units=26_000)
    made.leverage(3, 50)
    made.pair(1, 3, 100, OLD)
    return made


def test_the_mark_goes_with_the_index_first(desk: PerpetualDesk) -> None:
    """The basis is a mean over its window: one sample of the old book says little."""
    desk.index(NEW)
    assert NEW - 5 <= desk.perpetual.mark_ticks <= NEW
    assert desk.perpetual.mark_is_fresh
    scope = desk.scope(3)
    assert scope.equity_units < scope.maintenance_units  # so it is liquidated now


def test_after_a_window_an_untraded_book_holds_it(desk: PerpetualDesk) -> None:
    """Two of the three prices are the book's own by then."""
    desk.index(NEW)
    marks = [desk.perpetual.mark_ticks]
    for _ in range(32):
        desk.stand(NEW, seconds=5)
        marks.append(desk.perpetual.mark_ticks)
    assert marks == sorted(marks, reverse=True)
    assert marks[-1] == OLD


def test_a_trade_near_the_index_ends_it_at_once(desk: PerpetualDesk) -> None:
    """The median is between index and last price, wherever the basis still is."""
    desk.stand(NEW)
    assert desk.perpetual.mark_ticks == OLD
    desk.cancel_all(90)
    desk.pair(1, 2, 1, NEW)
    desk.index(NEW)
    assert desk.perpetual.mark_ticks == NEW


def test_quotes_near_the_index_end_it_within_a_window(desk: PerpetualDesk) -> None:
    """Without a trade, too: the basis is what it was of."""
    desk.stand(NEW)
    desk.cancel_all(90)
    desk.buy(90, NEW - 20, 1_000)
    desk.sell(90, NEW + 20, 1_000)
    desk.stand(NEW)
    assert desk.perpetual.mark_ticks == NEW


def test_a_great_jump_guards_the_market_meanwhile(desk: PerpetualDesk) -> None:
    """While the mark goes there and back; at rest it opens, and whoever trades moves it."""
    far = 1_300
    desk.index(far)
    assert desk.perpetual.mark_ticks > OLD * 11 // 10
    assert desk.phase is PerpetualState.GUARDED
    assert refusal(desk.market(1, Side.BUY, 1, symbol_id=7)) is R.MARKET_GUARDED
    desk.stand(far, seconds=300)
    assert (desk.perpetual.mark_ticks, desk.phase) == (OLD, PerpetualState.OPEN)
    seen = [OLD]
    for _ in range(6):  # sellers who are left behind are taken at the band's edge
        edge = desk.perpetual.mark_ticks * 11 // 10
        desk.cancel_all(90)
        desk.sell(2, edge, 1)
        desk.buy(1, edge, 1)
        desk.stand(far, seconds=150)
        seen.append(desk.perpetual.mark_ticks)
    assert seen == sorted(seen)
    assert seen[-1] >= far * 9 // 10
