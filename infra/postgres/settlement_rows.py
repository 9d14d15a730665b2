"""One batch of engine events as arrays: what settlement stores, and the net change per account.

Nothing here makes an object per event; a batch is a few NumPy passes. `domain.postings_for`
says the same one event at a time, and tests compare the two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt

from domain.event_postings import Pair
from domain.events import EventType
from domain.instrument import Asset
from domain.ledger import (
    LedgerInvariantError,
    SequenceGapError,
    UnknownEventError,
    capital,
    fees,
    insurance,
    pnl_clearing,
    rounding,
    settlement_request_hash,
    trading,
    transit,
)
from domain.risk_commands import FUND_ACCOUNT
from infra.postgres.perpetual_rows import (
    CAPITAL,
    POSITION_COLUMNS,
    ROUNDING,
    PositionRow,
    clearing_symbol,
    legs_of,
    perpetual_rows,
    positions_after,
    whole_events,
)
from matching.codec import view_events
from matching.wire import EVENT_PART_DTYPES

Int64Array = npt.NDArray[np.int64]

# Columns of trade_event and balance_event in their order, but journal_id; big endian, as
# PostgreSQL's binary COPY and int2send .. int8send have them.
TRADE_COLUMNS = (
    ("shard", ">i2"),
    ("sequence", ">i8"),
    ("index", ">i4"),
    ("trade_id", ">i8"),
    ("symbol_id", ">i4"),
    ("time_us", ">i8"),
    ("taker_side", ">i2"),
    ("maker_order_id", ">i8"),
    ("taker_order_id", ">i8"),
    ("maker_account_id", ">i8"),
    ("taker_account_id", ">i8"),
    ("price_ticks", ">i8"),
    ("quantity_lots", ">i8"),
    ("base_units", ">i8"),
    ("quote_units", ">i8"),
    ("maker_fee_units", ">i8"),
    ("taker_fee_units", ">i8"),
)
BALANCE_COLUMNS = (
    ("shard", ">i2"),
    ("sequence", ">i8"),
    ("index", ">i4"),
    ("time_us", ">i8"),
    ("event_type", ">i2"),
    ("transfer_id", "V16"),
    ("account_id", ">i8"),
    ("asset_id", ">i4"),
    ("amount_units", ">i8"),
)
_TRADE_ROW = np.dtype(list(TRADE_COLUMNS))
_PERPETUAL_TRADE_ROW = np.dtype([*TRADE_COLUMNS, *POSITION_COLUMNS])
_BALANCE_ROW = np.dtype(list(BALANCE_COLUMNS))

_KNOWN_TYPES = tuple(EventType)  # any other might move money: it is never passed over
_FEES = 0  # in place of an account id; customers are numbered from 1
_TRANSIT = -1


@dataclass(frozen=True, slots=True)
class BalanceEvent:
    """A Credited or Debited event, as far as its transfer is concerned; engine units."""

    sequence: int
    index: int
    credited: bool
    transfer_id: UUID
    account_id: int
    asset_id: int
    amount_units: int


@dataclass(frozen=True, slots=True)
class SettlementRows:
    """What one batch of whole commands stores: four kinds of rows, each by (sequence, index).

    `trades` are spot's, `positions` the trades of perpetuals, `perpetuals` all else about them.
    """

    shard: int
    trades: npt.NDArray[np.void]
    positions: npt.NDArray[np.void]
    balances: npt.NDArray[np.void]
    perpetuals: npt.NDArray[np.void]

    @property
    def moves_money(self) -> bool:
        """Return whether there is anything to post."""
        return any(map(len, (self.trades, self.positions, self.balances, self.perpetuals)))

    @property
    def trade_count(self) -> int:
        """Return the number of trades, spot and perpetual."""
        return len(self.trades) + len(self.positions)

    def request_hash(self) -> bytes:
        """Return the hash over all columns of all rows."""
        kinds = (self.trades, self.positions, self.balances, self.perpetuals)
        return settlement_request_hash(*(hashlib.sha256(rows.tobytes()).digest() for rows in kinds))

    def positions_after(self) -> list[PositionRow]:
        """Return the positions that changed, as the batch leaves them."""
        return positions_after(self.positions, self.perpetuals)

    def balance_events(self) -> list[BalanceEvent]:
        """Return the credits and debits as values."""
        return [
            BalanceEvent(
                sequence=int(row["sequence"]),
                index=int(row["index"]),
                credited=int(row["event_type"]) == EventType.CREDITED,
                transfer_id=UUID(bytes=row["transfer_id"].tobytes()),
                account_id=int(row["account_id"]),
                asset_id=int(row["asset_id"]),
                amount_units=int(row["amount_units"]),
            )
            for row in self.balances
        ]


def rows_from(
    shard: int,
    first_sequence: int,
    last_sequence: int,
    raw: bytes,
    quarantined: AbstractSet[tuple[int, int]] = frozenset(),
) -> SettlementRows:
    """Return the rows of the events of commands `first_sequence`..`last_sequence`, all of them.

    `SequenceGapError` when `raw` is not exactly those commands, each beginning with its outcome;
    `UnknownEventError` for events of unknown types, unless (sequence, index) is `quarantined`.
    """
    events = view_events(raw)
    outcome_places = np.flatnonzero((events["index"] == 0) & (events["part"] == 0))
    sequences = events["sequence"].astype(np.int64)
    wanted = np.arange(first_sequence, last_sequence + 1, dtype=np.int64)
    starts = len(events) == 0 or outcome_places.size == 0 or outcome_places[0] != 0
    if starts or not np.array_equal(sequences[outcome_places], wanted):
        raise SequenceGapError(
            f"the events handed over are not commands {first_sequence} to {last_sequence}"
        )
    unknown = np.flatnonzero(~np.isin(events["type"], _KNOWN_TYPES))
    places = [(int(sequences[place]), int(events["index"][place])) for place in unknown]
    if not set(places) <= quarantined:
        raise UnknownEventError(int(events["type"][unknown[0]]), places)
    owner = np.searchsorted(outcome_places, np.arange(len(events)), side="right") - 1
    if not np.array_equal(sequences, wanted[owner]):
        raise SequenceGapError(f"an event stands under another command after {first_sequence}")
    times = events["w0"][outcome_places][owner]  # every outcome's first field is the time
    return SettlementRows(
        shard,
        _trade_rows(shard, raw, events, times),
        _perpetual_trade_rows(shard, raw, events, times),
        _balance_rows(shard, raw, events, times),
        perpetual_rows(shard, raw, events, times),
    )


def _part(raw: bytes, kind: EventType, part: int) -> npt.NDArray[np.void]:
    return np.frombuffer(raw, dtype=EVENT_PART_DTYPES[kind, part])


def _trade_rows(
    shard: int, raw: bytes, events: npt.NDArray[np.void], times: Int64Array
) -> npt.NDArray[np.void]:
    places, parts = whole_events(raw, events, EventType.TRADE, 2)
    rows = np.zeros(len(places), dtype=_TRADE_ROW)
    if len(places):
        _fill_trades(rows, shard, times[places], parts, EventType.TRADE)
    return rows


def _perpetual_trade_rows(
    shard: int, raw: bytes, events: npt.NDArray[np.void], times: Int64Array
) -> npt.NDArray[np.void]:
    places, parts = whole_events(raw, events, EventType.PERPETUAL_TRADE, 3)
    rows = np.zeros(len(places), dtype=_PERPETUAL_TRADE_ROW)
    if len(places):
        _fill_trades(rows, shard, times[places], parts, EventType.PERPETUAL_TRADE)
    return rows


def _fill_trades(
    rows: npt.NDArray[np.void],
    shard: int,
    times: Int64Array,
    parts: list[npt.NDArray[np.void]],
    kind: EventType,
) -> None:
    head = parts[0]
    rows["shard"] = shard
    rows["time_us"] = times
    rows["taker_side"] = head["flags"] & 1
    for name in ("sequence", "index", "symbol_id"):
        rows[name] = head[name]
    for number, part in enumerate(parts):
        for name in _fields(kind, number):
            rows[name] = part[name]


def _fields(kind: EventType, part: int) -> tuple[str, ...]:
    head = {"sequence", "index", "type", "part", "symbol_id", "flags"}
    return tuple(name for name in EVENT_PART_DTYPES[kind, part].names or () if name not in head)


def _balance_rows(
    shard: int, raw: bytes, events: npt.NDArray[np.void], times: Int64Array
) -> npt.NDArray[np.void]:
    kinds = (EventType.CREDITED, EventType.DEBITED)
    places = np.flatnonzero(np.isin(events["type"], kinds) & (events["part"] == 0))
    rows = np.zeros(len(places), dtype=_BALANCE_ROW)
    found = _part(raw, EventType.CREDITED, 0)[places]  # Debited has the same layout
    rows["shard"] = shard
    rows["time_us"] = times[places]
    rows["event_type"] = found["type"]
    rows["asset_id"] = found["symbol_id"]
    for name in ("sequence", "index", "account_id", "amount_units"):
        rows[name] = found[name]
    key = np.zeros(len(places), dtype=[("high", ">u8"), ("low", ">u8")])
    key["high"], key["low"] = found["key_high"], found["key_low"]
    rows["transfer_id"] = key.view("V16")
    return rows


def net_by_account(
    rows: SettlementRows, assets: Mapping[int, Asset], pairs: Mapping[int, Pair]
) -> dict[str, int]:
    """Return the net change per account code, chain units; zero nets are left out."""
    trades, balances = rows.trades, rows.balances
    base = np.zeros(len(trades), dtype=np.int64)
    quote = np.zeros(len(trades), dtype=np.int64)
    for symbol_id in np.unique(trades["symbol_id"]):
        pair = pairs.get(int(symbol_id))
        if pair is None:
            raise LedgerInvariantError(f"trades of the unknown symbol {int(symbol_id)}")
        chosen = trades["symbol_id"] == symbol_id
        base[chosen], quote[chosen] = pair.base.asset_id, pair.quote.asset_id
    maker = trades["maker_account_id"].astype(np.int64)
    taker = trades["taker_account_id"].astype(np.int64)
    if np.any(maker == taker):
        raise LedgerInvariantError("an account trades with itself")
    sells = trades["taker_side"] == 1
    buyer, seller = np.where(sells, maker, taker), np.where(sells, taker, maker)
    house = np.full(len(trades), _FEES, dtype=np.int64)
    base_units, quote_units, maker_fee, taker_fee = (
        trades[name].astype(np.int64)
        for name in ("base_units", "quote_units", "maker_fee_units", "taker_fee_units")
    )
    outside = np.full(len(balances), _TRANSIT, dtype=np.int64)
    moved = balances["amount_units"].astype(np.int64)
    moved = np.where(balances["event_type"] == EventType.CREDITED, moved, -moved)
    moved_asset = balances["asset_id"].astype(np.int64)
    legs = (
        (buyer, base, base_units),
        (seller, base, -base_units),
        (seller, quote, quote_units),
        (buyer, quote, -quote_units),
        (maker, quote, -maker_fee),
        (house, quote, maker_fee),
        (taker, quote, -taker_fee),
        (house, quote, taker_fee),
        (balances["account_id"].astype(np.int64), moved_asset, moved),
        (outside, moved_asset, -moved),
        *legs_of(rows.positions, rows.perpetuals, pairs, _FEES),
    )
    accounts, asset_ids, units = (np.concatenate(column) for column in zip(*legs, strict=True))
    return _named(_exact_sums(accounts, asset_ids, units), rows.shard, assets)


def _exact_sums(
    accounts: Int64Array, asset_ids: Int64Array, units: Int64Array
) -> dict[tuple[int, int], int]:
    """Return the sum of `units` per (account, asset); exact beyond 64 bits.

    High and low halves are added apart: each sum stays below 2**63 for up to 2**31 legs.
    """
    if not len(units):
        return {}
    order = np.lexsort((asset_ids, accounts))
    accounts, asset_ids, units = accounts[order], asset_ids[order], units[order]
    fresh = (np.diff(accounts) != 0) | (np.diff(asset_ids) != 0)
    starts = np.concatenate(([0], np.flatnonzero(fresh) + 1))
    high = np.add.reduceat(units >> 32, starts)
    low = np.add.reduceat(units & 0xFFFFFFFF, starts)
    return {
        (int(account), int(asset)): (int(upper) << 32) + int(lower)
        for account, asset, upper, lower in zip(
            accounts[starts], asset_ids[starts], high, low, strict=True
        )
    }


def _named(
    sums: Mapping[tuple[int, int], int], shard: int, assets: Mapping[int, Asset]
) -> dict[str, int]:
    net: dict[str, int] = {}
    for (account, asset_id), units in sums.items():
        if not units:
            continue
        asset = assets.get(asset_id)
        if asset is None:
            raise LedgerInvariantError(f"money of the unknown asset {asset_id}")
        code = _code(account, shard, asset.code)
        net[code] = units * asset.chain_units_per_engine_unit
    return net


def _code(account: int, shard: int, asset: str) -> str:
    """Return the code of an account, or of what a number in place of one stands for."""
    if 0 < account < FUND_ACCOUNT:
        return trading(account, shard, asset)
    if account == FUND_ACCOUNT:
        return insurance(shard, asset)
    symbol_id = clearing_symbol(account)
    if symbol_id is not None:
        return pnl_clearing(shard, symbol_id, asset)
    house = {_FEES: fees, _TRANSIT: transit, ROUNDING: rounding}.get(account)
    if house is not None:
        return house(shard, asset)
    assert account == CAPITAL
    return capital(asset)


class CopyRows:
    """Rows in PostgreSQL's binary COPY format, but for the id of their journal."""

    def __init__(self, rows: npt.NDArray[np.void]) -> None:
        names = rows.dtype.names or ()
        self.columns = [*names, "journal_id"]
        self.count = len(rows)
        layout: list[tuple[str, str]] = [("field_count", ">i2")]
        for name in names:
            layout += [(f"{name}:size", ">i4"), (name, rows.dtype[name].str)]
        layout += [("journal_id:size", ">i4"), ("journal_id", ">i8")]
        self._packed = np.zeros(len(rows), dtype=layout)
        self._packed["field_count"] = len(self.columns)
        self._packed["journal_id:size"] = 8
        for name in names:
            self._packed[name] = rows[name]
            self._packed[f"{name}:size"] = rows.dtype[name].itemsize

    def bytes_with(self, journal_id: int) -> bytes:
        """Return what COPY reads; all rows get `journal_id`."""
        self._packed["journal_id"] = journal_id
        return b"PGCOPY\n\xff\r\n\0" + bytes(8) + self._packed.tobytes() + b"\xff\xff"
