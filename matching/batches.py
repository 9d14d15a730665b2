"""Cut a run of events into batches at command boundaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.event_postings import MONEY_EVENTS
from domain.events import EventType
from matching.codec import view_events
from matching.wire import STRIPE

_HISTORY = (
    EventType.ORDER_ACCEPTED,
    EventType.ORDER_AMENDED,
    EventType.ORDER_TRIGGERED,
    EventType.ORDER_ARMED,
    EventType.TRADE,
    EventType.PERPETUAL_TRADE,
    EventType.SELF_TRADE_PREVENTED,
    EventType.ORDER_CLOSED,
    EventType.SYMBOL_STATE_SET,
    EventType.SHARD_MODE_SET,
    EventType.SYMBOL_LISTED,
    EventType.PARAMETERS_SET,
    EventType.RISK_PARAMETERS_SET,
    EventType.PERPETUAL_STATE_SET,
    EventType.FUND_TOPPED_UP,
    EventType.FUNDING_SETTLED,
    EventType.SYMBOL_DELISTED,
    EventType.ACCOUNT_TIER_SET,
)
_TRADES = (EventType.TRADE, EventType.PERPETUAL_TRADE)
_MONEY = tuple(kind.event_type for kind in MONEY_EVENTS)


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of commands `first_sequence`..`last_sequence`, whole commands only."""

    first_sequence: int
    last_sequence: int
    raw: bytes


def split_by_trades(raw: bytes, max_trades: int) -> list[Batch]:
    """Return `raw` in batches of at most `max_trades` trades each.

    A command that alone has more trades is a batch of its own. `raw` begins with an outcome.
    """
    events = view_events(raw)
    outcomes = np.flatnonzero((events["index"] == 0) & (events["part"] == 0))
    if not len(outcomes):
        return []
    is_trade = np.isin(events["type"], _TRADES) & (events["part"] == 0)
    before = np.concatenate(([0], np.cumsum(is_trade)))  # trades before each stripe
    ends = np.concatenate((outcomes[1:], [len(events)]))
    trades_until = before[ends]  # trades up to and with each command
    batches = []
    start = 0
    while start < len(outcomes):
        limit = before[outcomes[start]] + max_trades
        stop = max(start + 1, int(np.searchsorted(trades_until, limit, side="right")))
        begin, end = int(outcomes[start]), int(ends[stop - 1])
        batches.append(
            Batch(
                first_sequence=int(events["sequence"][begin]),
                last_sequence=int(events["sequence"][outcomes[stop - 1]]),
                raw=bytes(raw[begin * STRIPE : end * STRIPE]),
            )
        )
        start = stop
    return batches


def moves_money(raw: bytes) -> bool:
    """Return whether `raw` holds an event that settlement has to post."""
    return bool(np.isin(view_events(raw)["type"], _MONEY).any())


def has_history(raw: bytes) -> bool:
    """Return whether `raw` holds an event of an order's life, or one that has rows."""
    return bool(np.isin(view_events(raw)["type"], _HISTORY).any())
