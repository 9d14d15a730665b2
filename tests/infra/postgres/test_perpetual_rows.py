"""Arrays and single events must say the same about the money and positions of perpetuals."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.event_postings import MONEY_EVENTS, Pair, postings_for
from domain.events import Event, FundingPaid, FundingSettled
from domain.instrument import Asset
from domain.ledger import LedgerInvariantError, net_of
from infra.postgres.perpetual_rows import PERPETUAL_ROW
from infra.postgres.settlement_rows import net_by_account, rows_from
from matching.batches import moves_money, split_by_trades
from matching.event_codec import encode_events
from tests.domain.perpetual_flow import PerpetualFlow
from tests.examples import examples

USDT = Asset(1, "USDT", 6, 6)
BTC = Asset(2, "BTC", 8, 8)
ASSETS = {1: USDT, 2: BTC}
PAIRS = {3: Pair(BTC, USDT), 4: Pair(BTC, USDT)}


@settings(max_examples=examples(60))
@given(st.integers(0, 10**6))
def test_rows_equal_the_rules_event_by_event(seed: int) -> None:
    """Nets per account, positions after the batch, and one row a money event."""
    flow = PerpetualFlow(seed)
    before = flow.commands(30)
    held = dict(flow.positions)
    realised = Counter(flow.realised)
    events = flow.commands(40)
    rows = rows_from(0, 31, 70, encode_events(events))
    money = [event for event in events if isinstance(event, MONEY_EVENTS)]
    assert net_by_account(rows, ASSETS, PAIRS) == net_of(
        posting
        for event in money
        for posting in postings_for(event, shard=0, assets=ASSETS, pairs=PAIRS)
    )
    assert len(rows.positions) + len(rows.perpetuals) == len(money)
    assert rows.trade_count == len(rows.positions)
    assert rows.perpetuals.dtype == PERPETUAL_ROW
    for kind in (rows.positions, rows.perpetuals):
        places = [(int(row["sequence"]), int(row["index"])) for row in kind]
        assert places == sorted(places)
        assert all(int(row["time_us"]) == 1000 * int(row["sequence"]) for row in kind)
    for after in rows.positions_after():
        place = (after.account_id, after.symbol_id)
        found = flow.position(*place)
        assert (after.lots, after.cost_units) == (found.lots, found.cost_units)
        held[place] = found
        realised[place] += after.realised_units
    assert realised == flow.realised
    assert {place: position for place, position in held.items() if position.lots} == flow.positions
    assert len(before) >= 30


def test_the_last_event_of_a_position_counts() -> None:
    """In a batch and across its kinds: positions after are those after its last command."""
    flow = PerpetualFlow(5)
    rows = rows_from(0, 1, 400, encode_events(flow.commands(400)))
    changed = {(one.account_id, one.symbol_id): one for one in rows.positions_after()}
    assert len(changed) == len(rows.positions_after()) > len(flow.positions)
    for place, position in flow.positions.items():
        assert (changed[place].lots, changed[place].cost_units) == (
            position.lots,
            position.cost_units,
        )
    assert all(one.lots == 0 for place, one in changed.items() if place not in flow.positions)


def test_entries_carry_their_fundings_instant() -> None:
    """An entry without its funding is refused."""
    paid = FundingPaid(1, 1, 3, 7, 10, -34, isolated=False)
    whole: list[Event] = [FundingSettled(1, 0, 1000, 3, 99_000, 100, 100, 10, 34, 1), paid]
    rows = rows_from(0, 1, 1, encode_events(whole)).perpetuals
    assert rows["funding_time_us"].tolist() == [99_000, 99_000]
    alone = PerpetualFlow(0).commands(1)[:1]  # another outcome
    with pytest.raises(LedgerInvariantError, match="without its funding"):
        rows_from(0, 1, 1, encode_events([*alone, paid]))


def test_an_event_cut_short_and_an_unknown_market_are_refused() -> None:
    """Nothing is guessed."""
    flow = PerpetualFlow(1)
    raw = encode_events(flow.commands(60))
    with pytest.raises(LedgerInvariantError, match="PERPETUAL_TRADE lacks a stripe"):
        rows_from(0, 1, 1, _first_trade(raw)[:-64])
    with pytest.raises(LedgerInvariantError, match="unknown symbol"):
        net_by_account(rows_from(0, 1, 60, raw), ASSETS, {})


def _first_trade(raw: bytes) -> bytes:
    """Return a command of sequence 1 with one trade, whole."""
    for seed in range(100):
        events = PerpetualFlow(seed).commands(1)
        if len(events) == 2:
            return encode_events(events)
    raise AssertionError(len(raw))


def test_batches_count_perpetual_trades() -> None:
    """They are trades where a batch is cut, and money where one is looked for."""
    flow = PerpetualFlow(2)
    raw = encode_events(flow.commands(50))
    assert moves_money(raw)
    batches = split_by_trades(raw, 4)
    assert b"".join(batch.raw for batch in batches) == raw
    counts = [rows_from(0, b.first_sequence, b.last_sequence, b.raw).trade_count for b in batches]
    assert max(counts) <= 4
    assert sum(counts) == flow.trade_id
