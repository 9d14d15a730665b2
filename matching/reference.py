"""The specification of the engine, in plain Python: `state', events = apply(state, command)`.

No clock, no randomness, no float, no IO. Each command is validated fully (`admission.py`), then
acts; its first event is its outcome. Order of precedence of the refusals of an order:

    duplicate, MALFORMED_COMMAND, INVALID_COMBINATION, INVALID_PRICE, INVALID_QUANTITY,
    INVALID_TRIGGER, TOO_MANY_SLICES, EXPIRY_PASSED, UNKNOWN_SYMBOL, SHARD_HALTED,
    SHARD_CANCEL_ONLY, SYMBOL_HALTED, SYMBOL_CANCEL_ONLY, SYMBOL_DELISTED, MARKET_HALTED,
    MARKET_SETTLING, MARK_UNKNOWN, SCOPE_FROZEN, MARKET_GUARDED, PRICE_OUTSIDE_BAND,
    QUANTITY_TOO_LARGE, TOO_MANY_OPEN_ORDERS, NOTHING_TO_REDUCE, MARKET_REDUCE_ONLY,
    TOO_MANY_POSITIONS, POSITION_LIMIT, WOULD_TRIGGER_IMMEDIATELY, POST_ONLY_WOULD_TRADE,
    NO_LIQUIDITY, BUDGET_TOO_SMALL, FOK_NOT_FILLABLE, SELF_TRADE, OVERFLOW, INSUFFICIENT_FUNDS,
    INSUFFICIENT_MARGIN

Of a list of orders: duplicate, MALFORMED_COMMAND, INVALID_ORDER_LIST, what its first order alone
is refused for, its second, its third, TOO_MANY_OPEN_ORDERS, LIST_PRICES_CROSSED. The children of a
bracket are refused for syntax, EXPIRY_PASSED, INVALID_TRIGGER, PRICE_OUTSIDE_BAND,
QUANTITY_TOO_LARGE, TOO_MANY_SLICES and OVERFLOW; the rest is asked when they are armed.

Expiries and switches whose time has come close orders before any command acts, whose outcome is
index 0 all the same.
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
from matching import (
    administration,
    changes,
    final_settlement,
    freezing,
    fund_commands,
    funding,
    isolated,
    liquidations,
    lists,
    marks,
    risk_administration,
    state_codec,
)
from matching.administration import Head
from matching.admission import refuse_order
from matching.codec import Placed, split_commands
from matching.command_keys import NO_KEY
from matching.engine_state import EngineState
from matching.event_writer import EventWriter
from matching.money_admission import refuse_credit, refuse_debit
from matching.order_codec import read_order
from matching.triggers import Triggers
from matching.views import ShardView
from matching.windows import KeyRecord
from matching.wire import COMMAND_HEAD, MAX_TIME_US, STAMP, SequenceError

_RISK = {
    Opcode.LIST_PERPETUAL: risk_administration.list_perpetual,
    Opcode.SET_RISK_PARAMETERS: risk_administration.set_risk_parameters,
    Opcode.SET_LEVERAGE: risk_administration.set_leverage,
    Opcode.SET_INDEX: marks.set_index,
    Opcode.SET_PERPETUAL_STATE: risk_administration.set_perpetual_state,
    Opcode.SET_MARGIN_MODE: isolated.set_margin_mode,
    Opcode.MOVE_MARGIN: isolated.move_margin,
    Opcode.SETTLE_FUNDING: funding.settle_funding,
    Opcode.FREEZE: freezing.freeze,
    Opcode.UNFREEZE: freezing.unfreeze,
    Opcode.LIQUIDATE: liquidations.liquidate,
    Opcode.TAKE_OVER: liquidations.take_over,
    Opcode.DELEVERAGE: liquidations.deleverage,
    Opcode.UNWIND: fund_commands.unwind,
    Opcode.TOP_UP_FUND: fund_commands.top_up,
    Opcode.SWEEP_DUST: fund_commands.sweep_dust,
    Opcode.SETTLE_MARKET: final_settlement.settle_market,
}
_ADMINISTRATION = {
    Opcode.LIST_SYMBOL: administration.list_symbol,
    Opcode.SET_PARAMETERS: administration.set_parameters,
    Opcode.SET_ACCOUNT_TIER: administration.set_account_tier,
    Opcode.SET_SYMBOL_STATE: administration.set_symbol_state,
    Opcode.SET_SHARD_MODE: administration.set_shard_mode,
}


class ReferenceEngine(Triggers):
    """The plain Python engine."""

    kind = "reference"

    def __init__(self, shard: int = 0) -> None:
        super().__init__(EngineState(shard), EventWriter())
        self._handlers: dict[int, Callable[[Head, bytes, int], None]] = {
            Opcode.PLACE_ORDER: self._place,
            Opcode.PLACE_ORDER_LIST: partial(lists.place_list, self),
            Opcode.CANCEL_ORDER: partial(changes.cancel, self),
            Opcode.CANCEL_ALL: partial(changes.cancel_all, self),
            Opcode.AMEND_ORDER: partial(changes.amend, self),
            Opcode.SET_DEAD_MANS_SWITCH: partial(changes.set_dead_mans_switch, self),
            Opcode.DELIST_SYMBOL: partial(changes.delist_symbol, self),
            Opcode.CREDIT: self._credit,
            Opcode.DEBIT: self._debit,
            Opcode.STARTED: self._started,
            Opcode.TICK: self._tick,
        }
        for opcode, administer in _ADMINISTRATION.items():
            self._handlers[opcode] = partial(self._administer, administer)
        for opcode, act in _RISK.items():
            self._handlers[opcode] = partial(act, self)
        for opcode in Opcode:
            self._handlers.setdefault(opcode, self._refuse_opcode)

    def apply(self, batch: bytes) -> bytes:
        """Apply sequenced commands and return their event stripes.

        Raises `WireError` for malformed bytes and `SequenceError` where the numbering breaks, both
        before any effect; both mean that the journal, not a customer, is at fault.
        """
        state, events = self.state, self.events
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
            if state.anything_due():
                mark = events.mark()
                due = self.expire_due()
                events.await_outcome()
                handlers[place.opcode](head, batch, place.offset)
                events.outcome_first(mark, due)
            else:
                handlers[place.opcode](head, batch, place.offset)
            if state.touched:
                self.run_triggers()
        return events.take()

    def replay(self, batch: bytes) -> int:
        """Apply as `apply` does, for the state alone; return how many bytes of events it gave."""
        return len(self.apply(batch))

    def _check_numbers(self, batch: bytes, places: list[Placed]) -> None:
        expected, earliest_us = self.state.sequence, self.state.time_us
        for place in places:
            expected += 1
            sequence, time_us = STAMP.unpack_from(batch, place.offset)
            if sequence != expected or not earliest_us <= time_us <= MAX_TIME_US:
                raise SequenceError(
                    f"command {sequence} at {time_us} after {expected - 1} at {earliest_us}"
                )
            earliest_us = time_us

    def chain(self) -> bytes:
        """Return the running chain over all event stripes so far, 64 bytes."""
        return b"".join(lane.to_bytes(8, "little") for lane in self.events.lanes)

    def snapshot(self) -> bytes:
        """Return the canonical bytes of the whole state."""
        return state_codec.encode(self.state, self.chain())

    def digest(self) -> bytes:
        """Return BLAKE2b-16 of the snapshot bytes."""
        return hashlib.blake2b(self.snapshot(), digest_size=16).digest()

    def view(self, *, with_digest: bool = False) -> ShardView:
        """Return where the whole shard is."""
        return ShardView(
            sequence=self.sequence,
            time_us=self.time_us,
            epoch=self.epoch,
            mode=self.mode,
            status=self.status,
            chain=self.chain(),
            symbols=self.symbols(),
            digest=self.digest() if with_digest else b"",
        )

    @staticmethod
    def restore(data: bytes) -> ReferenceEngine:
        """Return the engine whose snapshot `data` is; malformed bytes are `SnapshotError`."""
        engine = ReferenceEngine()
        engine.state, lanes = state_codec.decode(data)
        engine.events = EventWriter(lanes)
        return engine

    def _administer(
        self,
        act: Callable[[EngineState, EventWriter, Head, bytes, int], None],
        head: Head,
        batch: bytes,
        offset: int,
    ) -> None:
        act(self.state, self.events, head, batch, offset)

    def _started(self, head: Head, batch: bytes, offset: int) -> None:
        administration.started(self.state, self.events, head, batch, offset)
        marks.start(self)

    def _tick(self, head: Head, batch: bytes, offset: int) -> None:
        administration.tick(self.state, self.events, head, batch, offset)
        marks.pass_time(self)

    def _refuse_opcode(self, head: Head, _batch: bytes, _offset: int) -> None:
        opcode, symbol_id, account_id, key = head[2], head[6], head[8], head[9]
        self.events.rejected(opcode, RejectReason.UNKNOWN_OPCODE, account_id, key, symbol_id)

    # -- orders ---------------------------------------------------------------------------

    def _place(self, head: Head, batch: bytes, offset: int) -> None:
        symbol_id, _, account_id, key, _, quantity = head[6:]
        state = self.state
        order, surplus = read_order(batch, offset)
        identity, terms = order.identity, order.terms
        known = state.window.orders.get(identity)
        if known is not None:
            self.events.duplicate(known, symbol_id, known.same_body(order, 0))
            return
        reason = RejectReason.MALFORMED_COMMAND if surplus else refuse_order(state, order)
        if reason:
            self.events.rejected(Opcode.PLACE_ORDER, reason, account_id, key, symbol_id)
            return
        market = state.markets[symbol_id]
        self.accept(order)
        if order.is_waiting:
            hold = market.hold_units(order, quantity)
            self.hold(market, order, hold)
            state.rest(market, order)
            self.events.accepted(order, hold)
            return
        budget = terms.quote_budget_units
        self.events.accepted(order, budget or market.hold_units(order, quantity))
        if budget:
            self.finish(market, order, self.spend(market, order))
            return
        stopped = self.trade(market, order)
        self.finish(market, order, stopped)

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
        self.note_cash(account_id, asset_id)
        self.events.money(EventType.CREDITED, account_id, asset_id, key, amount)

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
        self.events.money(EventType.DEBITED, account_id, asset_id, key, amount)

    def _key_used(self, opcode: Opcode, head: Head) -> bool:
        """Answer a used key with its first outcome, a command without a key with a refusal."""
        asset_id, _, account_id, key, amount, created_at_us = head[6:]
        if key == NO_KEY:
            reason = RejectReason.MALFORMED_COMMAND
            self.events.rejected(opcode, reason, account_id, key, 0)
            return True
        first = self.state.keys.records.get(key)
        if first is None:
            return False
        same = first.same_body((opcode, account_id, asset_id, amount, created_at_us))
        self.events.key_duplicate(first, opcode, account_id, same)
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
            self.events.rejected(opcode, reason, account_id, key, 0)
