"""Which commands of a run of events concern which accounts, without decoding the others."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from domain.events import EventType
from matching.codec import events_between, view_events
from matching.wire import EVENT_PART_DTYPES

_NAMES = ("account_id", "maker_account_id", "taker_account_id", "counterparty_id")
_TOLD_TO_THE_ASKER = (  # and to nobody else: they change nothing
    EventType.COMMAND_REJECTED,
    EventType.KEY_DUPLICATE,
    EventType.ORDER_DUPLICATE,
    EventType.SCOPE_STATE,
)
_PLACES = {
    int(kind) << 8 | part: (dtype, [name for name in _NAMES if name in (dtype.names or ())])
    for (kind, part), dtype in EVENT_PART_DTYPES.items()
    if kind not in _TOLD_TO_THE_ASKER
}


def concerned(raw: bytes, accounts: Collection[int]) -> list[tuple[int, list[int]]]:
    """Return (sequence, accounts) of each command whose events name some of `accounts`, in order.

    `raw` is whole commands. One pass over the stripes for each kind of event that is there.
    """
    events = view_events(raw)
    wanted = np.fromiter(accounts, dtype=np.uint64, count=len(accounts))
    places = events["type"].astype(np.int64) << 8 | events["part"]
    sequences, found = [], []
    for place in np.unique(places).tolist():
        dtype, names = _PLACES.get(place, (None, []))
        if dtype is None or not names:
            continue
        at = np.flatnonzero(places == place)
        rows = np.frombuffer(raw, dtype=dtype)[at]
        for name in names:
            hits = np.isin(rows[name], wanted)
            sequences.append(rows["sequence"][hits])
            found.append(rows[name][hits])
    if not sequences:
        return []
    pairs = np.unique(np.stack([np.concatenate(sequences), np.concatenate(found)]), axis=1)
    told: dict[int, list[int]] = {}
    for sequence, account in pairs.T.tolist():
        told.setdefault(sequence, []).append(account)
    return list(told.items())


def command_of(raw: bytes, sequence: int) -> bytes:
    """Return the stripes of one command."""
    return events_between(raw, sequence - 1, sequence)
