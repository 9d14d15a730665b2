"""Arrays and single events must say the same about money."""

from __future__ import annotations

import random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.event_postings import MONEY_EVENTS, Pair, postings_for
from domain.events import Event
from domain.instrument import Asset
from domain.ledger import LedgerInvariantError, SequenceGapError, net_of
from domain.order import Side
from infra.postgres.settlement_rows import net_by_account, rows_from
from matching.event_codec import encode_events
from tests.examples import examples
from tests.infra.postgres.flows import credited, debited, tick, trade, trading_day

USDT = Asset(1, "USDT", 6, 6)
ETH = Asset(2, "ETH", 18, 9)
ASSETS = {1: USDT, 2: ETH}
PAIRS = {1: Pair(ETH, USDT)}


def expected_net(events: list[Event]) -> dict[str, int]:
    """Return the net that the domain's rule gives, one event at a time."""
    return net_of(
        posting
        for event in events
        if isinstance(event, MONEY_EVENTS)
        for posting in postings_for(event, shard=0, assets=ASSETS, pairs=PAIRS)
    )


def transfers(seed: int, first: int) -> list[Event]:
    rng = random.Random(seed)
    return [
        rng.choice((credited, debited))(
            sequence,
            UUID(int=rng.getrandbits(128)),
            rng.randint(1, 5),
            rng.randint(1, 2),
            rng.randint(1, 2**62),
        )
        for sequence in range(first, first + 5)
    ]


@settings(max_examples=examples(40))
@given(st.integers(0, 10**6))
def test_net_equals_the_rule_event_by_event(seed: int) -> None:
    """Nets, trades, transfers and times from arrays equal those of the events."""
    events = [*trading_day(seed, 1, 60, 6), *transfers(seed, 61)]
    rows = rows_from(0, 1, 65, encode_events(events))
    assert net_by_account(rows, ASSETS, PAIRS) == expected_net(events)
    money = [event for event in events if isinstance(event, MONEY_EVENTS)]
    assert len(rows.trades) + len(rows.balances) == len(money)
    for row in rows.trades:
        assert int(row["time_us"]) == int(row["sequence"]) * 1000
    ids = [UUID(int=event.key) for event in events[-5:]]  # type: ignore[union-attr]
    assert [event.transfer_id for event in rows.balance_events()] == ids


def test_sums_beyond_64_bits_are_exact() -> None:
    """A million ETH changes hands 64 times in one batch; nothing wraps."""
    most = 2**63 - 1
    events = [
        event
        for sequence in range(1, 65)
        for event in (
            tick(sequence),
            trade(sequence, 1, sequence, maker=1, taker=2, base_units=most, quote_units=most),
        )
    ]
    rows = rows_from(0, 1, 64, encode_events(events))
    net = net_by_account(rows, ASSETS, PAIRS)
    assert net == expected_net(events)
    assert net["customer:2:trading.0:ETH"] == 64 * most * 10**9


def test_gap_repeat_and_shift_are_refused() -> None:
    """Events that are not exactly the commands that they should be never reach the ledger."""
    events = [tick(n) for n in (1, 2, 3)]
    for first, last, chosen in (
        (1, 3, [events[0], events[2]]),
        (1, 3, [events[0], events[1], events[1]]),
        (1, 2, events),
        (2, 4, events),
        (1, 3, []),
        (1, 2, [tick(1), tick(2), trade(1, 1, 1, maker=1, taker=2)]),
        (1, 1, [trade(1, 1, 1, maker=1, taker=2)]),
    ):
        with pytest.raises(SequenceGapError):
            rows_from(0, first, last, encode_events(chosen))


def test_unknown_symbol_asset_and_self_trade_are_named() -> None:
    """What the ledger cannot post is refused, not skipped."""
    self_trade = [tick(1), trade(1, 1, 1, maker=1, taker=1)]
    with pytest.raises(LedgerInvariantError, match="itself"):
        net_by_account(rows_from(0, 1, 1, encode_events(self_trade)), ASSETS, PAIRS)
    normal = [tick(1), trade(1, 1, 1, maker=1, taker=2, taker_side=Side.SELL)]
    with pytest.raises(LedgerInvariantError, match="unknown symbol 1"):
        net_by_account(rows_from(0, 1, 1, encode_events(normal)), ASSETS, {})
    strange = [credited(1, UUID(int=1), 1, 9, 5)]
    with pytest.raises(LedgerInvariantError, match="unknown asset 9"):
        net_by_account(rows_from(0, 1, 1, encode_events(strange)), ASSETS, PAIRS)


def test_unknown_event_is_never_passed_over() -> None:
    """An event that this build does not know might move money, so it stops settlement."""
    raw = bytearray(encode_events([tick(1), tick(2)]))
    raw[64 + 10] = 200  # the type of the second stripe
    with pytest.raises(LedgerInvariantError, match="sequence 2: an event of the unknown type 200"):
        rows_from(0, 1, 2, bytes(raw))


def test_second_stripe_of_a_trade_must_be_there() -> None:
    """A trade that is cut in half is refused."""
    raw = encode_events([tick(1), trade(1, 1, 1, maker=1, taker=2)])[:-64]
    with pytest.raises(LedgerInvariantError, match="TRADE lacks a stripe"):
        rows_from(0, 1, 1, raw)


def test_request_hash_covers_each_column() -> None:
    """A change in any stored column, money or not, changes the request hash."""
    first = [tick(1), trade(1, 1, 1, maker=1, taker=2)]
    other = [tick(1), trade(1, 1, 2, maker=1, taker=2)]
    hashes = {rows_from(0, 1, 1, encode_events(events)).request_hash() for events in (first, other)}
    assert len(hashes) == 2
