"""Batches end at command boundaries and lose nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import Event, ShardModeSet, SymbolStateSet, Trade
from domain.order import Side
from domain.order_history import fold
from infra.postgres.market_rows import MARKET_EVENTS
from matching.batches import has_history, moves_money, split_by_trades
from matching.event_codec import encode_events
from matching.event_decoder import decode_events
from tests.examples import examples
from tests.infra.postgres.flows import accepted, tick, trade, trading_day
from tests.matching.strategies import any_event


@settings(max_examples=examples(40))
@given(seed=st.integers(0, 10**6), most=st.integers(1, 12), first=st.integers(1, 10**9))
def test_batches_are_whole_dense_and_bounded(seed: int, most: int, first: int) -> None:
    """Joined they are the input; each begins after the one before and has few enough trades."""
    raw = encode_events(trading_day(seed, first, 40, 5))
    batches = split_by_trades(raw, most)
    assert b"".join(batch.raw for batch in batches) == raw
    expected = first
    for batch in batches:
        events = decode_events(batch.raw)
        assert (batch.first_sequence, batch.last_sequence) == (expected, events[-1].sequence)
        assert {event.sequence for event in events} == set(
            range(batch.first_sequence, batch.last_sequence + 1)
        )
        trades = sum(isinstance(event, Trade) for event in events)
        assert trades <= most or batch.first_sequence == batch.last_sequence
        expected = batch.last_sequence + 1
    assert expected == first + 40


def test_large_command_is_a_batch_of_its_own() -> None:
    """A sweep with more trades than a batch may have is not cut."""
    sweep = [accepted(2, 1, Side.BUY), *(trade(2, n, n, maker=2, taker=1) for n in range(1, 9))]
    batches = split_by_trades(encode_events([tick(1), *sweep, tick(3)]), 3)
    assert [(batch.first_sequence, batch.last_sequence) for batch in batches] == [
        (1, 1),
        (2, 2),
        (3, 3),
    ]


def test_nothing_gives_no_batch() -> None:
    """No events, no batch."""
    assert split_by_trades(b"", 5) == []


def test_money_is_seen() -> None:
    """Trades and transfers move money; ticks and orders do not."""
    quiet = encode_events([tick(1), accepted(2, 1, Side.BUY)])
    assert not moves_money(quiet)
    assert moves_money(quiet + encode_events([trade(2, 1, 1, maker=1, taker=2)]))


@given(any_event)
def test_what_changes_an_order_is_seen(event: Event) -> None:
    """A run of events holds history exactly when an order changes in it, or administration."""
    administration = (ShardModeSet, SymbolStateSet, *MARKET_EVENTS)
    kept = bool(fold([event])) or isinstance(event, administration)
    assert has_history(encode_events([event])) == kept
