"""Price-time priority and the edge cases that break engines."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest

from domain.commands import CancelAll, CancelOrder, Started, Tick
from domain.errors import RejectReason
from domain.events import (
    CancelAccepted,
    EngineStarted,
    OrderAccepted,
    OrderClosed,
    OrderDuplicate,
    OrderRested,
    SelfTradePrevented,
    Ticked,
    Trade,
)
from domain.fees import flat_fees
from domain.limits import MAX_MAKERS
from domain.order import SelfTrade, Side, TimeInForce
from matching.codec import decode_events, encode_command
from matching.reference import ReferenceEngine
from matching.wire import SequenceError, WireError
from tests.matching.desk import (
    ETH,
    ETH_USDT,
    LISTING,
    RICH,
    USDT,
    Desk,
    closes,
    fills,
    only,
    order_id,
    reason,
)

pytestmark = pytest.mark.usefixtures("each_engine")


@pytest.fixture
def desk() -> Desk:
    """Give a market with four funded accounts."""
    desk = Desk()
    desk.fund(1, 2, 3, 4)
    return desk


def test_best_price_first_then_oldest(desk: Desk) -> None:
    """A taker meets the best price, and at one price the order that came first."""
    dear = order_id(desk.sell(1, 1_002, 5))
    first = order_id(desk.sell(2, 1_001, 5))
    second = order_id(desk.sell(3, 1_001, 5))
    events = desk.buy(4, 1_002, 12)
    assert fills(events) == [(first, 1_001, 5), (second, 1_001, 5), (dear, 1_002, 2)]
    assert closes(events) == [(first, "FILLED"), (second, "FILLED"), (order_id(events), "FILLED")]
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_002, 3)])


def test_a_fill_keeps_the_makers_place(desk: Desk) -> None:
    """A partly filled maker stays first at its price."""
    first = order_id(desk.sell(1, 1_000, 5))
    second = order_id(desk.sell(2, 1_000, 5))
    desk.buy(3, 1_000, 2)
    assert fills(desk.buy(3, 1_000, 4)) == [(first, 1_000, 3), (second, 1_000, 1)]


def test_amounts_of_a_trade_are_exact(desk: Desk) -> None:
    """Fees are rounded down per fill and the balances move by what the event says."""
    desk.sell(1, 999, 7)
    (trade,) = only(desk.buy(2, 999, 7), Trade)
    assert (trade.base_units, trade.quote_units) == (700_000, 6_993)
    assert (trade.maker_fee_units, trade.taker_fee_units) == (6, 13)
    assert trade.taker_side is Side.BUY
    assert desk.balance(1, USDT) == (RICH + 6_993 - 6, 0)
    assert desk.balance(1, ETH) == (RICH - 700_000, 0)
    assert desk.balance(2, USDT) == (RICH - 6_993 - 13, 0)
    assert desk.balance(2, ETH) == (RICH + 700_000, 0)
    assert desk.engine.fees()[USDT] == 19


def test_a_better_price_releases_the_rest_of_the_hold(desk: Desk) -> None:
    """A buy that fills below its limit keeps nothing held."""
    desk.sell(1, 990, 10)
    desk.buy(2, 1_050, 10)
    assert desk.balance(2, USDT) == (RICH - 9_900 - 19, 0)


def test_remainder_rests_with_its_own_hold(desk: Desk) -> None:
    """After a partial fill exactly the remainder's hold stays."""
    desk.sell(1, 1_000, 4)
    events = desk.buy(2, 1_000, 10)
    assert only(events, OrderRested)[0].remaining_lots == 6
    assert desk.balance(2, USDT)[1] == 6_000 + 12


@pytest.mark.parametrize("place", [0, 1, 2])
def test_cancel_in_a_level_then_sweep_it(desk: Desk, place: int) -> None:
    """Head, middle or tail: the cancelled order is not met and the others keep their turn."""
    ids = [order_id(desk.sell(account, 1_000, 5)) for account in (1, 2, 3)]
    desk.cancel(place + 1, ids[place])
    left = [order for index, order in enumerate(ids) if index != place]
    assert [fill[0] for fill in fills(desk.buy(4, 1_000, 15))] == left


def test_no_phantom_best_price_after_cancel(desk: Desk) -> None:
    """A level that became empty is gone: the next order meets the next level."""
    best = order_id(desk.sell(1, 1_000, 5))
    next_best = order_id(desk.sell(2, 1_001, 5))
    desk.cancel(1, best)
    assert fills(desk.buy(3, 1_000, 5)) == []
    assert fills(desk.buy(3, 1_001, 5)) == [(next_best, 1_001, 5)]


def test_cancel_after_fill_is_stale(desk: Desk) -> None:
    """A cancel that comes too late finds nothing and changes nothing."""
    maker = order_id(desk.sell(1, 1_000, 5))
    desk.buy(2, 1_000, 5)
    assert reason(desk.cancel(1, maker)) is RejectReason.ORDER_NOT_FOUND


def test_sweep_of_five_thousand_orders(desk: Desk) -> None:
    """One command may fill 5,000 orders; indexes are dense and money is exact."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=10_000),))
    desk.fund(1, 2)
    for number in range(5_000):
        desk.sell(1, 1_000 + number % 50, 1)
    events = desk.market(2, Side.BUY, 5_000)
    assert len(only(events, Trade)) == 5_000
    assert [event.index for event in events] == list(range(len(events)))
    assert desk.engine.book(ETH_USDT, 1) == ([], [])
    assert desk.balance(1, ETH) == (RICH - 5_000 * LISTING.base_units_per_lot, 0)


def test_the_sweep_limit_closes_the_remainder() -> None:
    """A command that would number too many events stops, and says so."""
    limit = MAX_MAKERS
    desk = Desk(listings=(dataclasses.replace(LISTING, max_open_orders=limit + 1),))
    desk.fund(1, 2)
    for _ in range(limit + 1):
        desk.sell(1, 1_000, 1)
    events = desk.buy(2, 1_000, limit + 5)
    assert len(fills(events)) == limit
    assert closes(events)[-1][1] == "SWEEP_LIMIT"
    assert desk.engine.book(ETH_USDT, 1) == ([], [(1_000, 1)])
    assert limit * 2 + 2 < 2**16


def test_ioc_expires_its_remainder(desk: Desk) -> None:
    """What an IOC does not get at once is closed, never rested."""
    desk.sell(1, 1_000, 4)
    events = desk.buy(2, 1_000, 10, time_in_force=TimeInForce.IOC)
    (close,) = [c for c in only(events, OrderClosed) if c.account_id == 2]
    assert (close.reason.name, close.resting, close.filled_lots) == ("IOC_REMAINDER", False, 4)
    assert desk.balance(2, USDT)[1] == 0


def test_fok_fills_whole_or_has_no_effect(desk: Desk) -> None:
    """A FOK one lot too large is refused; the exact size fills."""
    desk.sell(1, 1_000, 4)
    desk.sell(2, 1_001, 4)
    fok = TimeInForce.FOK
    assert reason(desk.buy(3, 1_001, 9, time_in_force=fok)) is RejectReason.FOK_NOT_FILLABLE
    assert reason(desk.buy(3, 1_000, 5, time_in_force=fok)) is RejectReason.FOK_NOT_FILLABLE
    assert len(fills(desk.buy(3, 1_001, 8, time_in_force=fok))) == 2


def test_post_only_never_takes(desk: Desk) -> None:
    """A post-only order that would trade is refused, otherwise it rests."""
    desk.sell(1, 1_000, 4)
    refused = desk.buy(2, 1_000, 1, post_only=True)
    assert reason(refused) is RejectReason.POST_ONLY_WOULD_TRADE
    assert only(desk.buy(2, 999, 1, post_only=True), OrderRested)


def test_market_order_stops_at_the_band(desk: Desk) -> None:
    """A market buy takes up to the band's edge and closes there."""
    desk.sell(1, 1_100, 2)
    desk.sell(1, 1_101, 2)
    events = desk.market(2, Side.BUY, 4)
    assert [fill[1] for fill in fills(events)] == [1_100]
    assert closes(events)[-1][1] == "BAND_REACHED"
    assert only(events, OrderAccepted)[0].hold_units == 4 * 1_100 + 9


def test_market_order_needs_someone_to_trade_with(desk: Desk) -> None:
    """Without an order inside the band a market order is refused; a thin book closes it."""
    assert reason(desk.market(1, Side.BUY, 1)) is RejectReason.NO_LIQUIDITY
    desk.sell(2, 1_101, 1)
    assert reason(desk.market(1, Side.BUY, 1)) is RejectReason.NO_LIQUIDITY
    desk.buy(2, 950, 1)
    events = desk.market(1, Side.SELL, 3)
    assert closes(events)[-1][1] == "IOC_REMAINDER"
    desk.sell(2, 1_000, 1)
    fok = desk.market(1, Side.BUY, 9, time_in_force=TimeInForce.FOK)
    assert reason(fok) is RejectReason.FOK_NOT_FILLABLE


@pytest.mark.parametrize(
    ("mode", "expected_fills", "expected_closes"),
    [
        (SelfTrade.EXPIRE_MAKER, [("other", 2), ("last", 3)], ["FILLED", "SELF_TRADE", "FILLED"]),
        (SelfTrade.EXPIRE_TAKER, [("other", 2)], ["FILLED", "SELF_TRADE"]),
        (SelfTrade.EXPIRE_BOTH, [("other", 2)], ["FILLED", "SELF_TRADE", "SELF_TRADE"]),
    ],
)
def test_self_trade_inside_a_sweep(
    desk: Desk,
    mode: SelfTrade,
    expected_fills: list[tuple[str, int]],
    expected_closes: list[str],
) -> None:
    """An account never trades with itself; what is filled before stays filled."""
    ids = {
        order_id(desk.sell(2, 1_000, 2)): "other",
        order_id(desk.sell(1, 1_001, 2)): "own",
        order_id(desk.sell(3, 1_002, 9)): "last",
    }
    events = desk.buy(1, 1_002, 5, self_trade=mode)
    assert [(ids[maker], lots) for maker, _, lots in fills(events)] == expected_fills
    assert [close[1] for close in closes(events)] == expected_closes
    held = 0 if mode != SelfTrade.EXPIRE_TAKER else 2 * LISTING.base_units_per_lot
    assert desk.balance(1, ETH)[1] == held
    assert desk.balance(1, USDT)[1] == 0


def test_decrement_shrinks_both_orders(desk: Desk) -> None:
    """The smaller remainder goes from both; priority, fills and the rest of the holds stay."""
    own = order_id(desk.sell(1, 1_000, 5))
    other = order_id(desk.sell(2, 1_000, 4))
    small = desk.buy(1, 1_000, 2, self_trade=SelfTrade.DECREMENT)
    (shrunk,) = only(small, SelfTradePrevented)
    assert (shrunk.maker_order_id, shrunk.lots, shrunk.price_ticks) == (own, 2, 1_000)
    assert closes(small) == [(order_id(small), "SELF_TRADE")]
    assert desk.balance(1, ETH)[1] == 3 * LISTING.base_units_per_lot
    assert desk.engine.book(ETH_USDT, 1) == ([], [(1_000, 7)])
    large = desk.buy(1, 1_000, 6, self_trade=SelfTrade.DECREMENT)
    assert fills(large) == [(other, 1_000, 3)]
    assert closes(large) == [(own, "SELF_TRADE"), (order_id(large), "FILLED")]
    assert only(large, OrderClosed)[1].filled_lots == 3
    assert desk.balance(1, ETH) == (RICH + 3 * LISTING.base_units_per_lot, 0)
    assert desk.balance(1, USDT)[1] == 0


def test_decrement_that_ends_both(desk: Desk) -> None:
    """Equal remainders leave neither; a retry of a shrunken order is still the same command."""
    maker = order_id(desk.buy(1, 1_000, 5, client_key=7))
    desk.sell(1, 1_000, 2, self_trade=SelfTrade.DECREMENT)
    again = desk.buy(1, 1_000, 5, client_key=7)[0]
    assert isinstance(again, OrderDuplicate)
    assert again.same_body
    events = desk.sell(1, 1_000, 3, self_trade=SelfTrade.DECREMENT)
    assert closes(events) == [(maker, "SELF_TRADE"), (order_id(events), "SELF_TRADE")]
    assert desk.balance(1, USDT) == (RICH, 0)
    assert desk.engine.book(ETH_USDT, 1) == ([], [])


def test_fok_does_not_count_own_orders(desk: Desk) -> None:
    """Own makers would expire, so they fill nothing; with expire-taker they stop the order."""
    desk.sell(2, 1_000, 2)
    desk.sell(1, 1_000, 2)
    desk.sell(3, 1_000, 2)
    fok = TimeInForce.FOK
    expire_taker = SelfTrade.EXPIRE_TAKER
    assert reason(desk.buy(1, 1_000, 5, time_in_force=fok)) is RejectReason.FOK_NOT_FILLABLE
    refused = desk.buy(1, 1_000, 4, time_in_force=fok, self_trade=expire_taker)
    assert reason(refused) is RejectReason.FOK_NOT_FILLABLE
    assert sum(fill[2] for fill in fills(desk.buy(1, 1_000, 4, time_in_force=fok))) == 4


def test_cancel_all_goes_in_id_order(desk: Desk) -> None:
    """All open orders of the account close, the oldest first, and holds return."""
    ids = [order_id(desk.buy(1, 990 - i % 3, 1)) for i in range(6)]
    other = order_id(desk.buy(2, 990, 1))
    events = desk.cancel_all(1)
    assert only(events, CancelAccepted)[0].closed_count == 6
    assert [close[0] for close in closes(events)] == ids
    assert desk.balance(1, USDT) == (RICH, 0)
    assert [order.order_id for order in desk.engine.open_orders(2)] == [other]
    assert only(desk.cancel_all(1, ETH_USDT), CancelAccepted)[0].closed_count == 0


def test_cancel_all_of_one_side(desk: Desk) -> None:
    """A side may be named; a number that is no side is refused."""
    bid, ask = order_id(desk.buy(1, 990, 1)), order_id(desk.sell(1, 1_010, 1))
    assert closes(desk.cancel_all(1, side=Side.SELL)) == [(ask, "CANCELLED_BY_USER")]
    assert closes(desk.cancel_all(1, side=Side.SELL)) == []
    assert closes(desk.cancel_all(1, ETH_USDT, Side.BUY)) == [(bid, "CANCELLED_BY_USER")]
    sequence = desk.engine.sequence + 1
    raw = bytearray(encode_command(CancelAll(1), sequence=sequence, time_us=desk.time_us))
    raw[48] = 3
    assert reason(tuple(decode_events(desk.engine.apply(bytes(raw))))) is (
        RejectReason.MALFORMED_COMMAND
    )


def test_a_million_ether() -> None:
    """A balance of 1,000,000 ETH trades in one order without overflow."""
    listing = replace(LISTING, listing_price_ticks=250_000, max_order_lots=10**11)
    desk = Desk(listings=(listing,))
    million = 10**6 * 10**9
    desk.credit(1, ETH, million)
    desk.credit(2, USDT, 3 * 10**9 * 10**6)
    desk.sell(1, 250_000, 10**10)
    (trade,) = only(desk.buy(2, 250_000, 10**10), Trade)
    assert (trade.base_units, trade.quote_units) == (million, 2_500 * 10**6 * 10**6)
    assert desk.balance(2, ETH) == (million, 0)


def test_ids_carry_the_shard() -> None:
    """Order and trade ids are unique over shards: shard << 48 | counter."""
    desk = Desk(shard=3)
    desk.fund(1, 2)
    assert order_id(desk.sell(1, 1_000, 1)) == (3 << 48) + 1
    assert only(desk.buy(2, 1_000, 1), Trade)[0].trade_id == (3 << 48) + 1


def test_rebates_never_exceed_the_taker_fee() -> None:
    """A negative maker fee is rounded toward zero, so each trade's fees are never negative."""
    listing = replace(LISTING, fees=flat_fees(-2_000, 2_000))
    desk = Desk(listings=(listing,))
    desk.fund(1, 2)
    desk.sell(1, 999, 7)
    (trade,) = only(desk.buy(2, 999, 7), Trade)
    assert (trade.maker_fee_units, trade.taker_fee_units) == (-13, 13)


def test_sequencer_commands_have_outcomes(desk: Desk) -> None:
    """`Started` and `Tick` are commands like any other: one outcome each."""
    assert isinstance(desk.run(Started(4, 9))[0], EngineStarted)
    assert desk.engine.epoch == 4
    assert isinstance(desk.run(Tick())[0], Ticked)


@pytest.mark.parametrize(("sequence", "time_us"), [(1, 5), (3, 5), (2, 4)])
def test_numbering_is_dense_and_time_never_runs_back(sequence: int, time_us: int) -> None:
    """A repeat, a gap or an earlier time is the journal's fault and stops."""
    engine = ReferenceEngine()
    engine.apply(encode_command(Tick(), sequence=1, time_us=5))
    with pytest.raises(SequenceError):
        engine.apply(encode_command(Tick(), sequence=sequence, time_us=time_us))


def test_malformed_bytes_have_no_effect() -> None:
    """A batch that is not whole commands is refused before its first command acts."""
    engine = ReferenceEngine()
    good = encode_command(Tick(), sequence=1, time_us=5)
    with pytest.raises(WireError):
        engine.apply(good + encode_command(CancelOrder(1, 1), sequence=2, time_us=5)[:60])
    assert engine.state.sequence == 0


def test_the_last_prices_that_there_are() -> None:
    """Orders rest, lead and leave at the greatest prices of the wire as at all others."""
    desk = Desk(listings=(replace(LISTING, band_ppm=1 << 62, listing_price_ticks=1 << 62),))
    desk.fund(1, 2)
    top = (1 << 63) - 1
    away = (0, 1, 8_191, 8_192, 16_383, 16_384)
    placed = {ticks: order_id(desk.sell(1, top - ticks, 1)) for ticks in away}
    for ticks in reversed(away):
        _, asks = desk.engine.book(ETH_USDT, len(away))
        assert asks == [(top - left, 1) for left in reversed(placed)]
        desk.run(CancelOrder(1, ETH_USDT, placed.pop(ticks)))
    assert desk.engine.book(ETH_USDT, 1) == ([], [])
