"""What an order passes: band, margin, limits; and reduce-only orders that stay within."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.brackets import bracket_table
from domain.money import PPM
from domain.order import Side
from domain.order_guards import (
    PositionShare,
    PriceBand,
    RestingReduceOnly,
    closable_lots,
    has_margin,
    is_beyond_band,
    is_reducing,
    is_within_position_limit,
    liquidation_limit_ticks,
    market_limit_ticks,
    open_loss_units,
    price_band,
    reduce_only_lots,
    reduce_only_trim,
)
from domain.risk_bounds import MAX_PRICE_TICKS

RATES = bracket_table([(0, 1, 2)], 1_000)


@given(st.integers(1, MAX_PRICE_TICKS), st.integers(0, PPM))
def test_the_band_is_rounded_inward(mark: int, width: int) -> None:
    """Never wider than its share of the mark, and the mark is inside."""
    band = price_band(mark, width)
    assert 1 <= band.lowest_ticks <= mark <= band.highest_ticks <= MAX_PRICE_TICKS
    assert (mark - band.lowest_ticks) * PPM <= mark * width
    assert (band.highest_ticks - mark) * PPM <= mark * width


def test_only_aggressive_orders_meet_the_band() -> None:
    """A buy above or a sell below is refused; market and liquidation orders stop at its edge."""
    band = price_band(1_001, 50_000)
    assert band == PriceBand(951, 1_051)
    assert [is_beyond_band(band, Side.BUY, price) for price in (1, 1_051, 1_052)] == [0, 0, 1]
    assert [is_beyond_band(band, Side.SELL, price) for price in (950, 951, 9_999)] == [1, 0, 0]
    assert (market_limit_ticks(band, Side.BUY), market_limit_ticks(band, Side.SELL)) == (1_051, 951)
    assert liquidation_limit_ticks(band, Side.SELL, 900) == 951
    assert liquidation_limit_ticks(band, Side.SELL, 960) == 960
    assert liquidation_limit_ticks(band, Side.BUY, 1_100) == 1_051
    assert liquidation_limit_ticks(band, Side.BUY, 1_000) == 1_000


def test_reducing_is_what_fits_into_the_position_with_what_rests() -> None:
    """7 long: sells of up to 7 reduce, less what rests already; buys never do."""
    assert [closable_lots(7, side) for side in Side] == [0, 7]
    assert [closable_lots(-7, side) for side in Side] == [7, 0]
    assert is_reducing(7, Side.SELL, 4, 3)
    assert not is_reducing(7, Side.SELL, 4, 4)
    assert not is_reducing(7, Side.BUY, 1, 0)
    assert not is_reducing(0, Side.SELL, 1, 0)
    assert [reduce_only_lots(7, Side.SELL, lots) for lots in (5, 9)] == [5, 7]
    assert reduce_only_lots(7, Side.BUY, 5) == 0


@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(1, 50)), max_size=9),
    st.integers(0, 300),
    st.integers(1, 200),
)
def test_trimming_takes_the_farthest_until_the_rest_fits(
    rows: list[tuple[int, int]], closable: int, mark: int
) -> None:
    """No order too many, and none that is nearer than one that stays."""
    orders = [RestingReduceOnly(n, price, lots) for n, (price, lots) in enumerate(rows)]
    cancelled = reduce_only_trim(orders, closable, mark)
    by_id = {order.order_id: order for order in orders}
    left = [order for order in orders if order.order_id not in cancelled]
    assert sum(order.lots for order in left) <= closable
    if cancelled:
        last = by_id[cancelled[-1]]
        assert sum(order.lots for order in [*left, last]) > closable
        reach = abs(last.price_ticks - mark)
        assert all(abs(order.price_ticks - mark) <= reach for order in left)


def test_of_equally_far_orders_the_youngest_goes() -> None:
    """Below and above the mark alike."""
    orders = [RestingReduceOnly(n, price, 2) for n, price in enumerate((90, 110, 95, 90))]
    assert reduce_only_trim(orders, 8, 100) == []
    assert reduce_only_trim(orders, 3, 100) == [3, 1, 0]
    assert reduce_only_trim(orders, 0, 100) == [3, 1, 0, 2]


def test_an_order_worse_than_the_mark_needs_its_loss_as_well() -> None:
    """A buy above or a sell below the mark loses at once; a better price counts nothing."""
    assert open_loss_units(Side.BUY, 3, 105, 100, 10) == 150
    assert open_loss_units(Side.SELL, 3, 95, 100, 10) == 150
    assert open_loss_units(Side.BUY, 3, 95, 100, 10) == 0
    assert has_margin(1_000, 900, 100)
    assert not has_margin(1_000, 900, 101)


@pytest.mark.parametrize(
    ("side", "interest", "share", "allowed"),
    [
        (1_000, 0, PositionShare(), True),
        (1_001, 0, PositionShare(), False),  # beyond the cap of the last bracket
        (100, 1_000, PositionShare(100_000), True),
        (101, 1_000, PositionShare(100_000), False),
        (101, 1_000, PositionShare(100_000, 200), True),  # small enough for any market
        (201, 1_000, PositionShare(100_000, 200), False),
    ],
)
def test_the_position_limit(side: int, interest: int, share: PositionShare, allowed: bool) -> None:
    """The brackets' cap, and the share of a market that one account may be."""
    assert is_within_position_limit(side, RATES, interest, share) == allowed
