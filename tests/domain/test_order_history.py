"""Folding events to orders."""

from __future__ import annotations

from domain.events import OrderClosed
from domain.order import CloseReason, OrderStatus, Side
from domain.order_history import fold
from tests.infra.postgres.flows import accepted, tick, trade


def test_fills_of_both_sides_add_up() -> None:
    """Maker and taker each get lots, quote and their own fee; the time is the outcome's."""
    taker, maker = fold(
        [
            accepted(9, 2, Side.BUY),
            trade(9, 1, 1, maker=1, taker=2),
            trade(9, 2, 1, maker=1, taker=2),
        ]
    )
    assert taker.accepted is not None
    assert (taker.order_id, taker.filled_lots, taker.filled_quote_units, taker.fee_units) == (
        9,
        14,
        4000,
        8,
    )
    assert (maker.order_id, maker.accepted, maker.fee_units) == (2, None, 4)
    assert (maker.updated_sequence, maker.updated_at_us) == (9, 9000)


def test_close_reason_gives_the_status() -> None:
    """Open until closed; then what the reason says."""
    assert fold([accepted(9, 2, Side.BUY)])[0].status is OrderStatus.OPEN
    for reason in CloseReason:
        closed = OrderClosed(9, 1, 1, 2, 9, Side.BUY, reason, False, 1, 0, 0)
        assert fold([accepted(9, 2, Side.BUY), closed])[0].status is reason.status


def test_other_events_change_nothing() -> None:
    """Ticks leave no trace."""
    assert fold([tick(1), tick(2)]) == []
