"""What holds after any stream of commands."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    Credit,
    Debit,
    PlaceOrder,
    PlaceOrderList,
    SetDeadMansSwitch,
    SetShardMode,
    SetSymbolState,
)
from domain.events import OrderAccepted, OrderClosed, Trade
from domain.order import (
    ListKind,
    OrderType,
    SelfTrade,
    ShardMode,
    Side,
    StateCause,
    SymbolState,
    TimeInForce,
)
from domain.order_record import OrderRecord
from matching.codec import encode_command
from matching.engine import restore_engine
from tests.examples import examples
from tests.matching.desk import ETH_USDT, START_US, Desk
from tests.matching.mirror import Mirror

pytestmark = pytest.mark.usefixtures("each_engine")

_ACCOUNTS = st.integers(1, 4)
_UNTIMED = (TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
_PRICES = st.integers(985, 1_015)

_places = st.builds(
    PlaceOrder,
    account_id=_ACCOUNTS,
    client_key=st.integers(1, 60),
    symbol_id=st.just(ETH_USDT),
    side=st.sampled_from(Side),
    order_type=st.just(OrderType.LIMIT),
    time_in_force=st.sampled_from(_UNTIMED),
    price_ticks=_PRICES,
    quantity_lots=st.integers(1, 60),
    post_only=st.booleans(),
    self_trade=st.sampled_from(SelfTrade),
    client_text=st.sampled_from(["", "abc"]),
)
_timed = st.builds(
    lambda order, after: replace(
        order, time_in_force=TimeInForce.GTD, expires_at_us=START_US + after, client_text="timed"
    ),
    _places,
    st.integers(1, 90),
)
_icebergs = st.builds(
    lambda order, display: replace(
        order,
        time_in_force=TimeInForce.GTC,
        display_lots=min(display, order.quantity_lots),
    ),
    _places,
    st.integers(1, 9),
)
_stops = st.builds(
    lambda order, kind, trigger, offset, is_timed: replace(
        order,
        order_type=kind,
        time_in_force=TimeInForce.GTD if is_timed else TimeInForce.GTC,
        expires_at_us=START_US + 60 if is_timed else 0,
        price_ticks=order.price_ticks if kind.is_limit else 0,
        post_only=order.post_only and kind.is_limit,
        trigger_price_ticks=0 if kind is OrderType.TRAILING_STOP else trigger,
        trailing_offset_ticks=offset if kind is OrderType.TRAILING_STOP else 0,
    ),
    _places,
    st.sampled_from([kind for kind in OrderType if kind.is_triggered]),
    _PRICES,
    st.integers(1, 9),
    st.booleans(),
)
_TAKES_PROFIT = (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)


def _oco(
    order: PlaceOrder, kinds: tuple[OrderType, OrderType], distances: tuple[int, int, int], key: int
) -> PlaceOrderList:
    """Return an OCO around 1,000, mostly one that may stand."""
    better, worse = kinds
    up = 1 if order.side is Side.SELL else -1
    price, stop = 1_000 + up * distances[0], 1_000 - up * distances[1]
    first = replace(
        order,
        order_type=better,
        time_in_force=TimeInForce.GTC,
        post_only=better is OrderType.LIMIT,
        price_ticks=price if better.is_limit else 0,
        trigger_price_ticks=price if better.is_triggered else 0,
        display_lots=min(distances[2], order.quantity_lots) if better.is_limit else 0,
    )
    trails = worse is OrderType.TRAILING_STOP
    second = replace(
        order,
        client_key=key,
        order_type=worse,
        time_in_force=TimeInForce.GTD,
        expires_at_us=START_US + 40,
        post_only=False,
        price_ticks=stop - up if worse.is_limit else 0,
        trigger_price_ticks=0 if trails else stop,
        trailing_offset_ticks=distances[1] if trails else 0,
    )
    return PlaceOrderList(ListKind.OCO, (first, second))


_lists = st.builds(
    _oco,
    _places,
    st.tuples(
        st.sampled_from([OrderType.LIMIT, OrderType.LIMIT, *_TAKES_PROFIT]),
        st.sampled_from([OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP]),
    ),
    st.tuples(st.integers(-1, 9), st.integers(1, 9), st.sampled_from([0, 0, 3])),
    st.integers(1, 60),
)


def _bracket(oco: PlaceOrderList, drawn: tuple[int, bool, bool, int], key: int) -> PlaceOrderList:
    """Return a bracket around an OCO's orders, or one of them, mostly one that may stand."""
    price, is_market, is_timed, parts = drawn
    first, second = oco.orders
    entry = replace(
        first,
        client_key=key,
        side=first.side.opposite,
        order_type=OrderType.MARKET if is_market else OrderType.LIMIT,
        time_in_force=TimeInForce.IOC if is_market else TimeInForce.GTC,
        post_only=False,
        price_ticks=0 if is_market else price,
        trigger_price_ticks=0,
        display_lots=0,
    )
    if is_timed and not is_market:
        entry = replace(entry, time_in_force=TimeInForce.GTD, expires_at_us=START_US + 50)
    children = ((first, second), (first, second), (first,), (second,))[parts]
    return PlaceOrderList(ListKind.BRACKET, (entry, *children))


_brackets = st.builds(
    _bracket,
    _lists,
    st.tuples(st.integers(993, 1_007), st.booleans(), st.booleans(), st.integers(0, 3)),
    st.integers(1, 60),
)
_spends = st.builds(
    PlaceOrder,
    account_id=_ACCOUNTS,
    client_key=st.integers(1, 60),
    symbol_id=st.just(ETH_USDT),
    side=st.just(Side.BUY),
    order_type=st.just(OrderType.MARKET),
    time_in_force=st.just(TimeInForce.IOC),
    price_ticks=st.just(0),
    quantity_lots=st.just(0),
    self_trade=st.sampled_from(SelfTrade),
    quote_budget_units=st.integers(900, 90_000),
)
_markets = st.builds(
    PlaceOrder,
    account_id=_ACCOUNTS,
    client_key=st.integers(1, 60),
    symbol_id=st.just(ETH_USDT),
    side=st.sampled_from(Side),
    order_type=st.just(OrderType.MARKET),
    time_in_force=st.sampled_from([TimeInForce.IOC, TimeInForce.FOK]),
    price_ticks=st.just(0),
    quantity_lots=st.integers(1, 90),
    self_trade=st.sampled_from(SelfTrade),
)
_cancels = st.builds(
    CancelOrder,
    account_id=_ACCOUNTS,
    symbol_id=st.just(ETH_USDT),
    order_id=st.integers(0, 30),
    client_key=st.integers(1, 60),
)
_amends = st.builds(
    AmendOrder,
    account_id=_ACCOUNTS,
    symbol_id=st.just(ETH_USDT),
    order_id=st.integers(0, 30),
    client_key=st.integers(1, 60),
    price_ticks=st.just(0) | _PRICES,
    quantity_lots=st.integers(0, 60),
    trigger_price_ticks=st.just(0) | _PRICES,
)
_switches = st.builds(SetDeadMansSwitch, account_id=_ACCOUNTS, timeout_us=st.integers(0, 30))
_money = st.builds(
    lambda kind, key, account, asset, amount: kind(key, account, asset, amount, START_US),
    st.sampled_from([Credit, Debit]),
    st.integers(1_000, 1_020),
    _ACCOUNTS,
    st.integers(1, 2),
    st.integers(1, 10**7),
)
_admin = st.one_of(
    st.builds(SetSymbolState, st.just(ETH_USDT), st.sampled_from(SymbolState)),
    st.builds(SetShardMode, st.sampled_from(ShardMode), st.sampled_from(StateCause)),
    st.builds(SetSymbolState, st.just(ETH_USDT), st.just(SymbolState.OPEN)),
    st.builds(SetShardMode, st.just(ShardMode.NORMAL)),
)
streams = st.lists(
    st.one_of(
        _places, _places, _places, _timed, _icebergs, _stops, _stops, _stops, _markets, _spends,
        _lists, _lists, _lists, _brackets, _brackets, _brackets, _cancels,
        _amends, _money, _switches,
        st.builds(CancelAll, account_id=_ACCOUNTS, symbol_id=st.sampled_from([0, ETH_USDT]),
                  side=st.sampled_from([None, *Side])),
        _admin,
    ),
    max_size=60,
)  # fmt: skip


def _opened() -> Desk:
    desk = Desk()
    desk.fund(1, 2, 3, units=3_000_000)
    return desk


@settings(max_examples=examples(120))
@given(streams)
def test_money_is_conserved_and_held_is_the_sum_of_holds(stream: list[Command]) -> None:
    """Per asset: credits - debits = totals + fees; held = open holds; nothing is negative."""
    desk, mirror = _opened(), Mirror()
    for command in stream:
        desk.run(command)
        engine = desk.engine
        sums: dict[int, int] = defaultdict(int)
        for (_, asset), (total, held) in engine.balances().items():
            assert 0 <= held <= total
            sums[asset] += total
        assert {a: sums[a] + engine.fees()[a] for a in engine.issued()} == engine.issued()
    mirror.read(desk.events)
    assert mirror.balances() == desk.engine.balances()
    assert dict(mirror.fees) == {a: f for a, f in desk.engine.fees().items() if f}


@settings(max_examples=examples(120))
@given(streams)
def test_events_alone_rebuild_the_book(stream: list[Command]) -> None:
    """A reader's book has the engine's levels and queue, is not crossed, and trades in turn."""
    desk, mirror = _opened(), Mirror()
    mirror.read(desk.events)
    for command in stream:
        for event in desk.run(command):
            if isinstance(event, Trade):
                assert event.maker_account_id != event.taker_account_id
                queue = mirror.queue(ETH_USDT, event.taker_side.opposite)
                assert event.maker_order_id == queue[0]
            mirror.read([event])
        bids, asks = mirror.depth(ETH_USDT)
        assert desk.engine.book(ETH_USDT, 100) == (bids, asks)
        assert not bids or not asks or bids[0][0] < asks[0][0]
    for account in range(1, 5):
        views = desk.engine.open_orders(account)
        assert [view.order_id for view in views] == sorted(
            order_id for order_id in (*mirror.resting, *mirror.waiting, *mirror.pending)
            if mirror.accepted[order_id].account_id == account
        )  # fmt: skip


@settings(max_examples=examples(60))
@given(streams, st.integers(0, 60))
def test_snapshot_and_replay_give_the_same_digest(stream: list[Command], cut: int) -> None:
    """Snapshot, restore and go on = go on; one batch = command by command; twice = once."""
    desk = _opened()
    for command in stream[:cut]:
        desk.run(command)
    other = restore_engine(desk.engine.snapshot())
    assert other.digest() == desk.engine.digest()
    batch = b"".join(
        encode_command(command, sequence=desk.engine.sequence + n, time_us=desk.time_us + n)
        for n, command in enumerate(stream[cut:], 1)
    )
    out = other.apply(batch)
    before = len(desk.raw)
    for command in stream[cut:]:
        desk.run(command)
    assert out == desk.raw[before:]
    assert other.digest() == desk.engine.digest()


@settings(max_examples=examples(60))
@given(streams)
def test_every_accepted_order_has_one_end(stream: list[Command]) -> None:
    """Accepted orders are open or closed exactly once; each command has one outcome, index 0."""
    desk = _opened()
    for command in stream:
        events = desk.run(command)
        assert [event.index for event in events] == list(range(len(events)))
        assert {event.sequence for event in events} == {desk.engine.sequence}
    accepted = [e.order_id for e in desk.events if isinstance(e, OrderAccepted)]
    closed = [e.order_id for e in desk.events if isinstance(e, OrderClosed)]
    still = [view.order_id for account in range(1, 5) for view in desk.engine.open_orders(account)]
    assert sorted(closed + still) == accepted


@settings(max_examples=examples(120))
@given(streams)
def test_a_list_ends_whole(stream: list[Command]) -> None:
    """While both orders of an OCO are open nothing has happened to either; else one is left.

    Children of a bracket are pending as long as its entry is open, and untouched.
    """
    desk = _opened()
    for command in stream:
        desk.run(command)
        listed: dict[int, list[OrderRecord]] = defaultdict(list)
        for account in range(1, 5):
            for order in desk.engine.open_orders(account):
                if order.terms.list_id:
                    listed[order.terms.list_id].append(order)
        for list_id, orders in listed.items():
            ids = [order.order_id for order in orders]
            if len({order.side for order in orders}) > 1:
                assert ids[0] == list_id
                assert [order.is_pending for order in orders[1:]] == [True] * (len(ids) - 1)
                assert sum(order.filled_lots for order in orders[1:]) == 0
            elif len(orders) > 1:
                first, second = orders
                assert second.order_id == first.order_id + 1
                assert first.is_pending == second.is_pending
                assert (first.filled_lots, second.filled_lots, second.is_waiting) == (0, 0, True)
                assert first.quantity_lots == second.quantity_lots


@pytest.mark.parametrize("seed", range(4))
def test_a_long_day(seed: int) -> None:
    """Thousands of random commands: money, holds, book and restored state still agree."""
    chance = random.Random(seed)
    desk, mirror = _opened(), Mirror()
    desk.fund(1, 2, 3, 4, units=10**9)
    for key in range(1, 2_500):
        account, kind = chance.randint(1, 4), chance.random()
        side = Side(chance.randint(0, 1))
        if kind < 0.6:
            desk.order(
                account,
                side,
                chance.randint(985, 1_015),
                chance.randint(1, 80),
                client_key=key,
                time_in_force=chance.choice(
                    [TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]
                ),
                self_trade=chance.choice(list(SelfTrade)),
            )
        elif kind < 0.7:
            desk.market(account, side, chance.randint(1, 120))
        elif kind < 0.95:
            desk.cancel(account, client_key=chance.randint(1, key))
        elif kind < 0.96:
            desk.cancel_all(account)
        elif kind < 0.98:
            desk.debit(account, chance.randint(1, 2), chance.randint(1, 10**5))
        else:
            desk.credit(account, chance.randint(1, 2), chance.randint(1, 10**5))
        if key % 500 == 0:
            desk.engine = restore_engine(desk.engine.snapshot())
    mirror.read(desk.events)
    assert desk.engine.trades() > 300
    assert mirror.balances() == desk.engine.balances()
    assert mirror.depth(ETH_USDT) == desk.engine.book(ETH_USDT, 1_000)
    totals = dict(desk.engine.fees())
    for (_, asset), (total, _) in desk.engine.balances().items():
        totals[asset] += total
    assert totals == desk.engine.issued()
