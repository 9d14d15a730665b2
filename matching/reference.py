"""The specification of the engine, in plain Python: `state', events = apply(state, command)`.

No clock, no randomness, no float, no IO. Each command is validated fully (`admission.py`), then
acts; its first event is its outcome. Order of precedence of the refusals of an order:

    duplicate, MALFORMED_COMMAND, INVALID_COMBINATION, INVALID_PRICE, INVALID_QUANTITY,
    UNKNOWN_SYMBOL, SHARD_HALTED, SHARD_CANCEL_ONLY, SYMBOL_HALTED, SYMBOL_CANCEL_ONLY,
    PRICE_OUTSIDE_BAND, QUANTITY_TOO_LARGE, TOO_MANY_OPEN_ORDERS, POST_ONLY_WOULD_TRADE,
    NO_LIQUIDITY, FOK_NOT_FILLABLE, SELF_TRADE, OVERFLOW, INSUFFICIENT_FUNDS

Both windows are expired at the start of every command. Only accepted orders occupy the order
window; every first use of a command key, refused or not, occupies the key window.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

from domain.commands import Opcode
from domain.errors import RejectReason
from domain.events import EventType
from domain.order import CloseReason, OrderType, SelfTrade, SymbolState, TimeInForce
from matching import administration, state_codec
from matching.administration import NO_KEY, Head
from matching.admission import (
    MAX_MAKERS,
    limit_rank,
    refuse_cancel,
    refuse_credit,
    refuse_debit,
    refuse_order,
)
from matching.book import BUY, OPEN, Market, Order, fee_units
from matching.codec import Placed, split_commands
from matching.engine_state import EngineState
from matching.event_writer import EventWriter
from matching.questions import Questions
from matching.windows import KeyRecord
from matching.wire import COMMAND_HEAD, STAMP, STRIPE, SequenceError

MAX_CANCELS = 60_000
"""How many orders one cancel-all closes, the oldest first; `closed_count` tells."""

_EXPIRE_TAKER, _EXPIRE_BOTH = int(SelfTrade.EXPIRE_TAKER), int(SelfTrade.EXPIRE_BOTH)
_DECREMENT = int(SelfTrade.DECREMENT)
_GTC = int(TimeInForce.GTC)
_MARKET = int(OrderType.MARKET)
_STATUS = {reason: reason.status for reason in CloseReason}
_ADMINISTRATION = {
    Opcode.LIST_SYMBOL: administration.list_symbol,
    Opcode.SET_SYMBOL_STATE: administration.set_symbol_state,
    Opcode.SET_SHARD_MODE: administration.set_shard_mode,
    Opcode.STARTED: administration.started,
    Opcode.TICK: administration.tick,
}


class ReferenceEngine(Questions):
    """The plain Python engine."""

    kind = "reference"

    def __init__(self, shard: int = 0) -> None:
        self.state = EngineState(shard)
        self._events = EventWriter()
        self._handlers: dict[int, Callable[[Head, bytes, int], None]] = {
            Opcode.PLACE_ORDER: self._place,
            Opcode.CANCEL_ORDER: self._cancel,
            Opcode.CANCEL_ALL: self._cancel_all,
            Opcode.CREDIT: self._credit,
            Opcode.DEBIT: self._debit,
        }
        for opcode, act in _ADMINISTRATION.items():
            self._handlers[opcode] = partial(self._administer, act)

    def apply(self, batch: bytes) -> bytes:
        """Apply sequenced commands and return their event stripes.

        Raises `WireError` for malformed bytes and `SequenceError` where the numbering breaks, both
        before any effect; both mean that the journal, not a customer, is at fault.
        """
        state, events = self.state, self._events
        unpack, handlers = COMMAND_HEAD.unpack_from, self._handlers
        places = split_commands(batch)
        self._check_numbers(batch, places)
        for place in places:
            head = unpack(batch, place.offset)
            sequence, time_us = head[0], head[1]
            state.sequence = sequence
            state.time_us = time_us
            if state.window.next_expiry_us < time_us:
                state.window.expire(time_us)
            state.keys.expire(time_us)
            events.begin(sequence, time_us)
            handlers[place.opcode](head, batch, place.offset)
        return events.take()

    def _check_numbers(self, batch: bytes, places: list[Placed]) -> None:
        expected, earliest_us = self.state.sequence, self.state.time_us
        for place in places:
            expected += 1
            sequence, time_us = STAMP.unpack_from(batch, place.offset)
            if sequence != expected or time_us < earliest_us:
                raise SequenceError(
                    f"command {sequence} at {time_us} after {expected - 1} at {earliest_us}"
                )
            earliest_us = time_us

    def chain(self) -> bytes:
        """Return the running chain over all event stripes so far, 64 bytes."""
        return b"".join(lane.to_bytes(8, "little") for lane in self._events.lanes)

    def snapshot(self) -> bytes:
        """Return the canonical bytes of the whole state."""
        return state_codec.encode(self.state, self.chain())

    def digest(self) -> bytes:
        """Return BLAKE2b-16 of the snapshot bytes."""
        return hashlib.blake2b(self.snapshot(), digest_size=16).digest()

    @staticmethod
    def restore(data: bytes) -> ReferenceEngine:
        """Return the engine whose snapshot `data` is; malformed bytes are `SnapshotError`."""
        engine = ReferenceEngine()
        engine.state, lanes = state_codec.decode(data)
        engine._events = EventWriter(lanes)
        return engine

    def _administer(
        self,
        act: Callable[[EngineState, EventWriter, Head, bytes, int], None],
        head: Head,
        batch: bytes,
        offset: int,
    ) -> None:
        act(self.state, self._events, head, batch, offset)

    # -- orders ---------------------------------------------------------------------------

    def _place(self, head: Head, batch: bytes, offset: int) -> None:
        text_length, symbol_id, flags, account_id, key, price, quantity = head[5:]
        state = self.state
        identity = batch[offset + 24 : offset + 48]
        known = state.window.orders.get(identity)
        if known is not None:
            same = (known.symbol_id, known.flags, known.price_ticks, known.asked_lots) == (
                symbol_id,
                flags,
                price,
                quantity,
            )
            self._events.duplicate(known, symbol_id, same)
            return
        text = batch[offset + STRIPE : offset + STRIPE + text_length]
        order = Order(account_id, identity, symbol_id, flags, price, quantity, text)
        reason = refuse_order(state, order)
        if reason:
            self._events.rejected(Opcode.PLACE_ORDER, reason, account_id, key, symbol_id)
            return
        market = state.markets[symbol_id]
        order.order_id = state.shard << 48 | state.next_order
        state.next_order += 1
        order.accepted_sequence = state.sequence
        order.accepted_time_us = state.time_us
        state.window.orders[identity] = order
        self._events.accepted(order, market.hold_units(order, quantity))
        stopped = self._match(market, order)
        self._finish(market, order, stopped)

    def _match(self, market: Market, taker: Order) -> CloseReason | None:
        """Trade `taker` against the book; return why it must stop, or None."""
        side = market.sides[1 - taker.side]
        rank = limit_rank(market, taker)
        for _ in range(MAX_MAKERS):
            maker = side.first(rank)
            if maker is None:
                return None
            if maker.account_id == taker.account_id:
                mode = taker.flags >> 9
                if mode == _DECREMENT:
                    if self._decrement(market, maker, taker):
                        return CloseReason.SELF_TRADE
                    continue
                if mode != _EXPIRE_TAKER:
                    self._close_resting(market, maker, CloseReason.SELF_TRADE)
                if mode in (_EXPIRE_TAKER, _EXPIRE_BOTH):
                    return CloseReason.SELF_TRADE
                continue
            missing = taker.quantity_lots - taker.filled_lots
            lots = min(missing, maker.quantity_lots - maker.filled_lots)
            self._fill(market, maker, taker, lots)
            if missing == lots:
                return None
        return CloseReason.SWEEP_LIMIT if side.first(rank) is not None else None

    def _decrement(self, market: Market, maker: Order, taker: Order) -> bool:
        """Shrink both by the smaller remainder; return whether nothing of the taker is left."""
        remaining = maker.quantity_lots - maker.filled_lots
        missing = taker.quantity_lots - taker.filled_lots
        lots = min(missing, remaining)
        self._hold(market, maker, -self._released(market, maker, lots))
        maker.quantity_lots -= lots
        taker.quantity_lots -= lots
        self._events.prevented(maker, taker, lots)
        if lots == remaining:
            self._close_resting(market, maker, CloseReason.SELF_TRADE)
        return lots == missing

    def _released(self, market: Market, maker: Order, lots: int) -> int:
        """Return what `maker` no longer holds when `lots` of it are gone."""
        remaining = maker.quantity_lots - maker.filled_lots
        return market.hold_units(maker, remaining) - market.hold_units(maker, remaining - lots)

    def _fill(self, market: Market, maker: Order, taker: Order, lots: int) -> None:
        """Trade `lots` at the maker's price and move the money; the taker holds nothing yet."""
        state, rules = self.state, market.rules
        base_id, quote_id = rules.base_asset_id, rules.quote_asset_id
        base = lots * rules.base_units_per_lot
        quote = maker.price_ticks * lots * rules.quote_units_per_tick_lot
        maker_fee = fee_units(quote, rules.maker_fee_ppm)
        taker_fee = fee_units(quote, rules.taker_fee_ppm)
        remaining = maker.quantity_lots - maker.filled_lots
        released = self._released(market, maker, lots)
        maker_base = state.balance(maker.account_id, base_id)
        maker_quote = state.balance(maker.account_id, quote_id)
        taker_base = state.balance(taker.account_id, base_id)
        taker_quote = state.balance(taker.account_id, quote_id)
        if taker.side == BUY:
            maker_base[0] -= base
            maker_base[1] -= released
            maker_quote[0] += quote - maker_fee
            taker_base[0] += base
            taker_quote[0] -= quote + taker_fee
        else:
            maker_base[0] += base
            maker_quote[0] -= quote + maker_fee
            maker_quote[1] -= released
            taker_base[0] -= base
            taker_quote[0] += quote - taker_fee
        state.fees[quote_id] += maker_fee + taker_fee
        maker.filled_lots += lots
        taker.filled_lots += lots
        market.last_ticks = maker.price_ticks
        trade_id = state.shard << 48 | state.next_trade
        state.next_trade += 1
        self._events.trade(trade_id, maker, taker, lots, (base, quote, maker_fee, taker_fee))
        if lots == remaining:
            self._close_resting(market, maker, CloseReason.FILLED)

    def _finish(self, market: Market, order: Order, stopped: CloseReason | None) -> None:
        """Let the rest of a taker stand in the book with its hold, or close it."""
        state = self.state
        remaining = order.quantity_lots - order.filled_lots
        if stopped is not None:
            reason = stopped
        elif remaining == 0:
            reason = CloseReason.FILLED
        elif order.flags >> 5 & 7 == _GTC:
            self._hold(market, order, market.hold_units(order, remaining))
            market.rest(order)
            state.orders[order.order_id] = order
            self._events.rested(order)
            return
        elif order.flags >> 1 & 15 == _MARKET and market.sides[1 - order.side].ranks:
            reason = CloseReason.BAND_REACHED
        else:
            reason = CloseReason.IOC_REMAINDER
        state.window.close(order, state.time_us, _STATUS[reason])
        self._events.closed(order, reason, resting=False)

    def _hold(self, market: Market, order: Order, units: int) -> None:
        rules = market.rules
        asset_id = rules.quote_asset_id if order.side == BUY else rules.base_asset_id
        self.state.balance(order.account_id, asset_id)[1] += units

    def _close_resting(self, market: Market, order: Order, reason: CloseReason) -> None:
        """Take `order` out of the book and release what it still holds."""
        state = self.state
        remaining = order.quantity_lots - order.filled_lots
        if remaining:
            self._hold(market, order, -market.hold_units(order, remaining))
        market.take_out(order)
        del state.orders[order.order_id]
        state.window.close(order, state.time_us, _STATUS[reason])
        self._events.closed(order, reason, resting=True)

    def _cancel(self, head: Head, batch: bytes, offset: int) -> None:
        symbol_id, _, account_id, key, order_id, _ = head[6:]
        state = self.state
        order: Order | None = None
        reason = refuse_cancel(state, account_id, symbol_id)
        if not reason:
            if order_id:
                order = state.orders.get(order_id)
            else:
                order = state.window.orders.get(batch[offset + 24 : offset + 48])
            reason = self._refuse_cancel_of(order, account_id, symbol_id)
        if reason or order is None:
            self._events.rejected(Opcode.CANCEL_ORDER, reason, account_id, key, symbol_id)
            return
        self._events.cancel_accepted(account_id, order.symbol_id, 1)
        market = state.markets[order.symbol_id]
        self._close_resting(market, order, CloseReason.CANCELLED_BY_USER)

    def _refuse_cancel_of(
        self, order: Order | None, account_id: int, symbol_id: int
    ) -> RejectReason:
        if order is None or order.status != OPEN or order.account_id != account_id:
            return RejectReason.ORDER_NOT_FOUND
        if symbol_id not in (0, order.symbol_id):
            return RejectReason.ORDER_NOT_FOUND
        if self.state.markets[order.symbol_id].state == SymbolState.HALTED:
            return RejectReason.SYMBOL_HALTED
        return RejectReason.NONE

    def _cancel_all(self, head: Head, _batch: bytes, _offset: int) -> None:
        symbol_id, _, account_id, key, _, _ = head[6:]
        state = self.state
        reason = refuse_cancel(state, account_id, symbol_id)
        if reason:
            self._events.rejected(Opcode.CANCEL_ALL, reason, account_id, key, symbol_id)
            return
        markets = [state.markets[symbol_id]] if symbol_id else list(state.markets.values())
        mine = [
            order
            for market in markets
            if market.state != SymbolState.HALTED
            for order in market.open_by_account.get(account_id, {}).values()
        ]
        mine.sort(key=lambda order: order.order_id)
        del mine[MAX_CANCELS:]
        self._events.cancel_accepted(account_id, symbol_id, len(mine))
        for order in mine:
            market = state.markets[order.symbol_id]
            self._close_resting(market, order, CloseReason.CANCELLED_BY_USER)

    # -- money ----------------------------------------------------------------------------

    def _credit(self, head: Head, _batch: bytes, _offset: int) -> None:
        asset_id, _, account_id, key, amount, created_at_us = head[6:]
        if self._key_used(Opcode.CREDIT, head):
            return
        state = self.state
        reason = refuse_credit(state, account_id, asset_id, amount, created_at_us)
        self._remember(Opcode.CREDIT, reason, head)
        if reason:
            return
        state.issued[asset_id] += amount
        state.balance(account_id, asset_id)[0] += amount
        self._events.money(EventType.CREDITED, account_id, asset_id, key, amount)

    def _debit(self, head: Head, _batch: bytes, _offset: int) -> None:
        asset_id, _, account_id, key, amount, created_at_us = head[6:]
        if self._key_used(Opcode.DEBIT, head):
            return
        state = self.state
        reason = refuse_debit(state, account_id, asset_id, amount, created_at_us)
        self._remember(Opcode.DEBIT, reason, head)
        if reason:
            return
        state.issued[asset_id] -= amount
        state.balance(account_id, asset_id)[0] -= amount
        self._events.money(EventType.DEBITED, account_id, asset_id, key, amount)

    def _key_used(self, opcode: Opcode, head: Head) -> bool:
        """Answer a used key with its first outcome, a command without a key with a refusal."""
        asset_id, _, account_id, key, amount, created_at_us = head[6:]
        if key == NO_KEY:
            reason = RejectReason.MALFORMED_COMMAND
            self._events.rejected(opcode, reason, account_id, key, 0)
            return True
        first = self.state.keys.records.get(key)
        if first is None:
            return False
        same = first.same_body((opcode, account_id, asset_id, amount, created_at_us))
        self._events.key_duplicate(first, opcode, account_id, same)
        return True

    def _remember(self, opcode: Opcode, reason: RejectReason, head: Head) -> None:
        """File the first outcome of a key, and say it when it is a refusal."""
        asset_id, _, account_id, key, amount, created_at_us = head[6:]
        self.state.keys.remember(
            KeyRecord(
                key,
                self.state.sequence,
                self.state.time_us,
                int(opcode),
                int(reason),
                account_id,
                asset_id,
                amount,
                created_at_us,
            )
        )
        if reason:
            self._events.rejected(opcode, reason, account_id, key, 0)
