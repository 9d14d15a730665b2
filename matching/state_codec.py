"""The canonical bytes of the engine's state: equal states, equal bytes, in any implementation.

Little endian. Head; why the mode is what it is; assets by id; markets by id; non-zero balances by
account and asset; open orders in the books market by market, buy side first, in priority; orders
that wait for a trigger or are pending by id; closed orders in closing order; command keys in order
of first use; dead-man's switches by account; fee tiers by account; then what perpetuals have
(`matching/perpetual_state_codec.py`). Each section begins with its count (u64).
Two open orders of one OCO end each other; what one covers of the other's hold follows from both.
A pending order has what its entry has filled, once that ended, where others have what they hide.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

from domain.commands import ListSymbol
from domain.limits import MAX_FEE_TIERS
from domain.order import StateCause, SymbolState, TriggerSource
from domain.trading_status import StatusReason
from matching import perpetual_state_codec
from matching.book import ENDED, OPEN, Market, Order, Terms
from matching.engine_state import ASSET_BITS, EngineState
from matching.market_codec import pack_fees, unpack_fees
from matching.reach import is_touched
from matching.windows import KeyRecord

STATE_VERSION = 18
_MAGIC = b"RLTSTATE"
_HEAD = struct.Struct("<8sIIQqqIIQQ64s")
_STATUS = struct.Struct("<qQq32s96s")
_COUNT = struct.Struct("<Q")
_ASSET = struct.Struct("<Qqq")
_MARKET = struct.Struct("<15q152s64s")
_BALANCE = struct.Struct("<QQqq")
_ORDER = struct.Struct("<QQ16sHHBBBxqqqQqqqq9q36s4x")
_SWITCH = struct.Struct("<Qq")
_TIER = struct.Struct("<QQ")
_KEY = struct.Struct("<16sQqHHIQqq")
_RULES = (
    "symbol_id",
    "base_asset_id",
    "quote_asset_id",
    "base_units_per_lot",
    "quote_units_per_tick_lot",
    "max_taker_fee_ppm",
    "band_ppm",
    "listing_price_ticks",
    "max_order_lots",
    "max_open_orders",
    "max_position_lots",
)


class SnapshotError(ValueError):
    """Bytes that are not a snapshot of this version."""


def encode(state: EngineState, chain: bytes) -> bytes:
    """Return the canonical bytes of `state` with the event chain so far."""
    parts = [
        _HEAD.pack(
            _MAGIC,
            STATE_VERSION,
            state.shard,
            state.sequence,
            state.time_us,
            state.epoch,
            state.mode,
            0,
            state.next_order,
            state.next_trade,
            chain,
        ),
        _status_bytes(state.status),
    ]
    _section(parts, (_ASSET.pack(a, state.issued[a], state.fees[a]) for a in sorted(state.issued)))
    markets = [state.markets[symbol_id] for symbol_id in sorted(state.markets)]
    _section(parts, (_market_bytes(market) for market in markets))
    _section(
        parts,
        (
            _BALANCE.pack(key >> ASSET_BITS, key & (1 << ASSET_BITS) - 1, *pair)
            for key, pair in sorted(state.balances.items())
            if pair[0] or pair[1]
        ),
    )
    open_orders = (o for market in markets for side in market.sides for o in side.walk())
    _section(parts, map(_order_bytes, open_orders))
    waiting = [order for market in markets for order in market.outside()]
    _section(parts, map(_order_bytes, sorted(waiting, key=lambda order: order.order_id)))
    _section(parts, map(_order_bytes, state.window.closed.values()))
    _section(parts, map(_key_bytes, state.keys.records.values()))
    _section(parts, (_SWITCH.pack(*switch) for switch in sorted(state.switches.items())))
    _section(parts, (_TIER.pack(*tier) for tier in sorted(state.tiers.items())))
    for records in perpetual_state_codec.sections(state):
        _section(parts, records)
    return b"".join(parts)


def _section(parts: list[bytes], records: Iterable[bytes]) -> None:
    body = list(records)
    parts.append(_COUNT.pack(len(body)))
    parts.extend(body)


def _market_bytes(market: Market) -> bytes:
    rules = [getattr(market.rules, name) for name in _RULES]
    traded = market.reached[TriggerSource.LAST_PRICE]
    prices = (market.last_ticks, traded.low_ticks, traded.high_ticks)
    numbers = (*rules, market.state, *prices)
    return _MARKET.pack(*numbers, _status_bytes(market.status), pack_fees(market.rules.fees))


def _status_bytes(status: StatusReason) -> bytes:
    actor, reason = status.actor.encode("ascii"), status.reason.encode("ascii")
    return _STATUS.pack(status.cause, status.sequence, status.time_us, actor, reason)


def read_status(data: bytes, offset: int = 0) -> StatusReason:
    """Return who set a state and why, from its 152 bytes."""
    cause, sequence, time_us, actor, reason = _STATUS.unpack_from(data, offset)
    texts = (text.rstrip(b"\0").decode("ascii") for text in (actor, reason))
    return StatusReason(StateCause(cause), sequence, time_us, *texts)


def _order_bytes(order: Order) -> bytes:
    return _ORDER.pack(
        order.order_id,
        order.account_id,
        order.identity[8:],
        order.symbol_id,
        order.flags,
        order.status,
        len(order.text),
        order.pending,
        order.price_ticks,
        order.quantity_lots,
        order.filled_lots,
        order.accepted_sequence,
        order.accepted_time_us,
        order.closed_us,
        order.asked_ticks,
        order.asked_lots,
        *order.terms,
        order.entry_lots if order.pending else order.hidden_lots,
        order.trigger_ticks,
        order.limit_ticks if order.is_waiting and order.status == OPEN and not order.pending else 0,
        order.text,
    )


def _key_bytes(record: KeyRecord) -> bytes:
    return _KEY.pack(
        record.key,
        record.sequence,
        record.time_us,
        record.opcode,
        record.reason,
        record.asset_id,
        record.account_id,
        record.amount_units,
        record.created_at_us,
    )


def decode(data: bytes) -> tuple[EngineState, tuple[int, ...]]:
    """Return the state and chain lanes of canonical bytes; else `SnapshotError`."""
    try:
        return _decode(data)
    except (struct.error, KeyError, IndexError, ValueError) as error:
        raise SnapshotError(f"malformed snapshot: {error}") from error


def _decode(data: bytes) -> tuple[EngineState, tuple[int, ...]]:
    head = _HEAD.unpack_from(data, 0)
    if head[0] != _MAGIC or head[1] != STATE_VERSION:
        raise SnapshotError(f"state version {head[1]} is not {STATE_VERSION}")
    state = EngineState(head[2])
    state.sequence, state.time_us, state.epoch, state.mode = head[3:7]
    state.next_order, state.next_trade = head[8:10]
    state.status = read_status(data, _HEAD.size)
    reader = _Reader(data, _HEAD.size + _STATUS.size)
    for asset_id, issued, fees in reader.section(_ASSET):
        state.issued[asset_id] = issued
        state.fees[asset_id] = fees
    for values in reader.section(_MARKET):
        market = _market(values)
        state.markets[market.rules.symbol_id] = market
        if is_touched(market):
            state.touched.add(market.rules.symbol_id)
    for account_id, asset_id, total, held in reader.section(_BALANCE):
        state.balances[account_id << ASSET_BITS | asset_id] = [total, held]
    for is_outside in (False, True):
        for values in reader.section(_ORDER):
            order = _order(values)
            if order.pending > ENDED:
                raise SnapshotError("an order is pending in an unknown way")
            if is_outside != order.is_outside:
                raise SnapshotError("an order waits for nothing")
            market = state.markets[order.symbol_id]
            state.rest(market, order)
            state.window.orders[order.identity] = order
            if market.ended:
                state.touched.add(order.symbol_id)
            if is_outside and not order.pending:
                _link_again(state, market, order)
    for values in reader.section(_ORDER):
        order = _order(values)
        if order.status == OPEN:
            raise SnapshotError("a closed order is open")
        state.window.orders[order.identity] = order
        state.window.file(order)
    for key, sequence, time_us, opcode, reason, asset, account, amount, created in reader.section(
        _KEY
    ):
        state.keys.remember(
            KeyRecord(key, sequence, time_us, opcode, reason, account, asset, amount, created)
        )
    state.switches.update(reader.section(_SWITCH))
    for account_id, tier in reader.section(_TIER):
        if tier >= MAX_FEE_TIERS:
            raise SnapshotError("an unknown fee tier")
        state.tiers[account_id] = tier
    perpetual_state_codec.read(state, reader.section)
    if reader.offset != len(data):
        raise SnapshotError("bytes after the last section")
    return state, struct.unpack("<8Q", head[10])


def _link_again(state: EngineState, market: Market, order: Order) -> None:
    """Link an order that waits to the one before it when that is the other one of its OCO."""
    first = state.orders.get(order.order_id - 1)
    if first is None or not order.terms.list_id or first.pending:
        return
    if first.terms.list_id == order.terms.list_id and first.side == order.side:
        market.link(first, order)


def decode_markets(lines: bytes) -> list[Market]:
    """Return markets, with empty books, from their lines of a snapshot."""
    return [_market(values) for values in _MARKET.iter_unpack(lines)]


def _market(values: tuple[Any, ...]) -> Market:
    *numbers, market_state, last_ticks, low_ticks, high_ticks, status, fees = values
    named = dict(zip(_RULES, numbers, strict=True))
    market = Market(ListSymbol(**named, fees=unpack_fees(fees)))
    market.state, market.last_ticks = int(SymbolState(market_state)), last_ticks
    traded = market.reached[TriggerSource.LAST_PRICE]
    traded.low_ticks, traded.high_ticks = low_ticks, high_ticks
    market.status = read_status(status)
    return market


class _Reader:
    """Walk through the counted sections."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data = data
        self.offset = offset

    def section(self, record: struct.Struct) -> Iterator[tuple[Any, ...]]:
        """Yield the records of the next section."""
        (count,) = _COUNT.unpack_from(self._data, self.offset)
        start = self.offset + _COUNT.size
        self.offset = start + count * record.size
        if self.offset > len(self._data):
            raise SnapshotError("a section is cut off")
        yield from record.iter_unpack(self._data[start : self.offset])


def decode_orders(lines: bytes) -> Iterator[Order]:
    """Yield orders from their lines of a snapshot."""
    return map(_order, _ORDER.iter_unpack(lines))


def _order(values: tuple[Any, ...]) -> Order:
    (
        order_id,
        account_id,
        key,
        symbol_id,
        flags,
        status,
        text_length,
        pending,
        price_ticks,
        quantity_lots,
        filled_lots,
        accepted_sequence,
        accepted_time_us,
        closed_us,
        asked_ticks,
        asked_lots,
        *terms,
        hidden_lots,
        trigger_ticks,
        limit_ticks,
        text,
    ) = values
    identity = account_id.to_bytes(8, "little") + key
    order = Order(
        account_id,
        identity,
        symbol_id,
        flags,
        price_ticks,
        quantity_lots,
        text[:text_length],
        Terms(*terms),
    )
    order.order_id = order_id
    order.status = status
    order.filled_lots = filled_lots
    order.pending = pending
    if pending:
        order.entry_lots = hidden_lots
    else:
        order.hidden_lots = hidden_lots
        order.is_waiting = limit_ticks != 0
    order.trigger_ticks = trigger_ticks
    order.limit_ticks = limit_ticks or price_ticks
    order.accepted_sequence = accepted_sequence
    order.accepted_time_us = accepted_time_us
    order.closed_us = closed_us
    order.asked_ticks = asked_ticks
    order.asked_lots = asked_lots
    return order
