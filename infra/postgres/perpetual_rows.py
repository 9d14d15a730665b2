"""A batch' events about perpetuals as arrays: rows to store, positions after, money moved.

Trades of perpetuals are rows of `trade_event` with more columns filled in, so that whatever reads
trades reads them all; every other event about their money is a row of `perpetual_event`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.event_postings import Pair
from domain.events import EventType
from domain.ledger import LedgerInvariantError
from domain.risk_commands import FUND_ACCOUNT
from matching.wire import EVENT_PART_DTYPES

Int64Array = npt.NDArray[np.int64]
Rows = npt.NDArray[np.void]
Leg = tuple[Int64Array, Int64Array, Int64Array]  # account, asset id, engine units

POSITION_COLUMNS = (  # of trade_event, after those of every trade
    ("insurance_units", ">i8"),
    ("maker_lots", ">i8"),
    ("maker_cost_units", ">i8"),
    ("maker_realised_units", ">i8"),
    ("taker_lots", ">i8"),
    ("taker_cost_units", ">i8"),
    ("taker_realised_units", ">i8"),
)
PERPETUAL_COLUMNS = (  # of perpetual_event
    ("shard", ">i2"),
    ("sequence", ">i8"),
    ("index", ">i4"),
    ("time_us", ">i8"),
    ("event_type", ">i2"),
    ("symbol_id", ">i4"),
    ("asset_id", ">i4"),
    ("account_id", ">i8"),
    ("counterparty_id", ">i8"),
    ("amount_units", ">i8"),
    ("counterparty_units", ">i8"),
    ("lots", ">i8"),
    ("cost_units", ">i8"),
    ("counterparty_lots", ">i8"),
    ("counterparty_cost_units", ">i8"),
    ("funding_time_us", ">i8"),
)
PERPETUAL_ROW = np.dtype(list(PERPETUAL_COLUMNS))

ROUNDING = -2  # in place of an account id, as in infra.postgres.settlement_rows
CAPITAL = -3
_CLEARING = -(1 << 40)  # less the symbol's number

# What the columns of `perpetual_event` are called in the parts of each event.
_SAME = {name: name for name in ("account_id", "lots", "cost_units")}
_PAIR = {
    **_SAME,
    "amount_units": "realised_units",
}
_FIELDS: Mapping[EventType, Mapping[str, str]] = {
    EventType.FUNDING_SETTLED: {
        "amount_units": "rounding_units",
        "funding_time_us": "funding_time_us",
        "lots": "entries",
    },
    EventType.FUNDING_PAID: {
        "account_id": "account_id",
        "lots": "lots",
        "amount_units": "amount_units",
    },
    EventType.TAKEN_OVER: {
        **_PAIR,
        "counterparty_lots": "fund_lots",
        "counterparty_cost_units": "fund_cost_units",
        "counterparty_units": "fund_realised_units",
    },
    EventType.DELEVERAGED: {
        **_PAIR,
        "counterparty_id": "counterparty_id",
        "counterparty_lots": "counterparty_lots",
        "counterparty_cost_units": "counterparty_cost_units",
        "counterparty_units": "counterparty_realised_units",
    },
    EventType.POSITION_SETTLED: {"account_id": "account_id", "amount_units": "realised_units"},
    EventType.FUND_TOPPED_UP: {"account_id": "account_id", "amount_units": "amount_units"},
    EventType.DUST_SWEPT: {"account_id": "account_id", "amount_units": "amount_units"},
}
_AFTER = ("lots", "cost_units", "realised_units")  # of a trade's leg
_OF_ASSETS = (EventType.FUND_TOPPED_UP, EventType.DUST_SWEPT)
_OF_POSITIONS = (EventType.TAKEN_OVER, EventType.DELEVERAGED, EventType.POSITION_SETTLED)
_PARTS = {kind: sum(1 for known, _ in EVENT_PART_DTYPES if known is kind) for kind in _FIELDS}


@dataclass(frozen=True, slots=True)
class PositionRow:
    """A position as a batch leaves it, engine units; flat ones have no lots and no cost.

    `realised_units` is the profit that the whole batch realised in it, before fees.
    """

    account_id: int
    symbol_id: int
    lots: int
    cost_units: int
    sequence: int
    realised_units: int


def whole_events(
    raw: bytes, events: Rows, kind: EventType, parts: int
) -> tuple[Int64Array, list[Rows]]:
    """Return where the events of a type begin, and their parts side by side.

    `LedgerInvariantError` when one lacks a part.
    """
    places = np.flatnonzero((events["type"] == kind) & (events["part"] == 0))
    found = []
    for part in range(parts):
        at = places + part
        if len(at) and (
            at[-1] >= len(events)
            or not np.all((events["type"][at] == kind) & (events["part"][at] == part))
        ):
            raise LedgerInvariantError(f"an event {kind.name} lacks a stripe")
        found.append(np.frombuffer(raw, dtype=EVENT_PART_DTYPES[kind, part])[at])
    return places, found


def perpetual_rows(shard: int, raw: bytes, events: Rows, times: Int64Array) -> Rows:
    """Return the rows of `perpetual_event`, by (sequence, index)."""
    found = [_rows_of(kind, shard, raw, events, times) for kind in _FIELDS]
    rows = np.concatenate(found, dtype=PERPETUAL_ROW)  # else its byte order would be the machine's
    rows = rows[np.lexsort((rows["index"], rows["sequence"]))]
    headers = rows[rows["event_type"] == EventType.FUNDING_SETTLED]
    paid = rows["event_type"] == EventType.FUNDING_PAID
    if paid.any():
        sequences = headers["sequence"].astype(np.int64)
        wanted = rows["sequence"][paid].astype(np.int64)
        at = np.searchsorted(sequences, wanted)
        if not len(headers) or at.max() >= len(headers) or np.any(sequences[at] != wanted):
            raise LedgerInvariantError("a funding entry without its funding")
        rows["funding_time_us"][paid] = headers["funding_time_us"][at]
    return rows


def _rows_of(kind: EventType, shard: int, raw: bytes, events: Rows, times: Int64Array) -> Rows:
    places, parts = whole_events(raw, events, kind, _PARTS[kind])
    rows = np.zeros(len(places), dtype=PERPETUAL_ROW)
    if not len(places):
        return rows
    head = parts[0]
    rows["shard"] = shard
    rows["time_us"] = times[places]
    rows["event_type"] = kind
    rows["sequence"], rows["index"] = head["sequence"], head["index"]
    rows["asset_id" if kind in _OF_ASSETS else "symbol_id"] = head["symbol_id"]
    if kind is EventType.TAKEN_OVER:
        rows["counterparty_id"] = FUND_ACCOUNT
    for column, field in _FIELDS[kind].items():
        (part,) = [found for found in parts if field in (found.dtype.names or ())]
        rows[column] = part[field]
    return rows


def positions_after(trades: Rows, others: Rows) -> list[PositionRow]:
    """Return each position that the batch changed, as its last event leaves it."""
    pairs = others[np.isin(others["event_type"], _OF_POSITIONS)]
    both = pairs[pairs["counterparty_id"] != 0]
    sides: tuple[tuple[Rows, tuple[str, ...]], ...] = (
        (trades, tuple(f"maker_{name}" for name in ("account_id", *_AFTER))),
        (trades, tuple(f"taker_{name}" for name in ("account_id", *_AFTER))),
        (pairs, ("account_id", "lots", "cost_units", "amount_units")),
        (both, tuple(f"counterparty_{name}" for name in ("id", "lots", "cost_units", "units"))),
    )
    columns = [
        [_column(rows, name) for name in ("symbol_id", "sequence", "index", *named)]
        for rows, named in sides
    ]
    symbol, sequence, index, account, lots_after, cost_after, realised = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    order = np.lexsort((index, sequence, symbol, account))
    account, symbol = account[order], symbol[order]
    last = np.flatnonzero(
        np.append((np.diff(account) != 0) | (np.diff(symbol) != 0), True)[: len(order)]
    )
    kept = order[last]
    firsts = np.concatenate(([0], last[:-1] + 1))[: len(last)]
    sums = np.add.reduceat(realised[order], firsts) if len(last) else realised
    return [
        PositionRow(*row)
        for row in zip(
            account[last].tolist(),
            symbol[last].tolist(),
            lots_after[kept].tolist(),
            cost_after[kept].tolist(),
            sequence[kept].tolist(),
            sums.tolist(),
            strict=True,
        )
    ]


def legs_of(trades: Rows, others: Rows, pairs: Mapping[int, Pair], fees: int) -> list[Leg]:
    """Return what moves, in legs that sum to 0 an event: `domain.event_postings` in arrays.

    `fees` stands in place of an account id, as ROUNDING, CAPITAL and `clearing_id` do.
    """
    quote = _quotes(trades, pairs)
    clearing = _CLEARING - _column(trades, "symbol_id")
    fund = np.full(len(trades), FUND_ACCOUNT, np.int64)
    house = np.full(len(trades), fees, np.int64)
    insured = _column(trades, "insurance_units")
    legs: list[Leg] = [
        (_column(trades, "taker_account_id"), quote, -insured),
        (fund, quote, insured),
    ]
    for side in ("maker", "taker"):
        account = _column(trades, f"{side}_account_id")
        fee = _column(trades, f"{side}_fee_units")
        realised = _column(trades, f"{side}_realised_units")
        legs += [
            (account, quote, realised - fee),
            (house, quote, fee),
            (clearing, quote, -realised),
        ]
    is_of_asset = np.isin(others["event_type"], _OF_ASSETS)
    return legs + _position_legs(others[~is_of_asset], pairs) + _fund_legs(others[is_of_asset])


def _position_legs(rows: Rows, pairs: Mapping[int, Pair]) -> list[Leg]:
    asset = _quotes(rows, pairs)
    is_header = rows["event_type"] == EventType.FUNDING_SETTLED
    account = np.where(is_header, ROUNDING, _column(rows, "account_id")).astype(np.int64)
    amount, other = _column(rows, "amount_units"), _column(rows, "counterparty_units")
    return [
        (account, asset, amount),
        (_column(rows, "counterparty_id"), asset, other),
        (_CLEARING - _column(rows, "symbol_id"), asset, -(amount + other)),
    ]


def _fund_legs(rows: Rows) -> list[Leg]:
    is_dust = rows["event_type"] == EventType.DUST_SWEPT
    source = np.where(is_dust, ROUNDING, CAPITAL).astype(np.int64)
    amount, asset = _column(rows, "amount_units"), _column(rows, "asset_id")
    fund = np.full(len(rows), FUND_ACCOUNT, np.int64)
    return [(fund, asset, amount), (source, asset, -amount)]


def _column(rows: Rows, name: str) -> Int64Array:
    return rows[name].astype(np.int64)


def clearing_symbol(account: int) -> int | None:
    """Return the symbol whose clearing account a number stands for; None for other numbers."""
    return _CLEARING - account if account <= _CLEARING else None


def _quotes(rows: Rows, pairs: Mapping[int, Pair]) -> Int64Array:
    """Return the asset id that each row's market is settled in."""
    found = np.zeros(len(rows), np.int64)
    for symbol_id in np.unique(rows["symbol_id"]):
        pair = pairs.get(int(symbol_id))
        if pair is None:
            raise LedgerInvariantError(f"positions in the unknown symbol {int(symbol_id)}")
        found[rows["symbol_id"] == symbol_id] = pair.quote.asset_id
    return found
