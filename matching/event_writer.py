"""Where the reference engine writes its events: stripes in order, and the chain over them."""

from __future__ import annotations

import struct

from domain.commands import ListSymbol
from domain.events import EventType
from domain.order import CloseReason
from matching.book import NO_TERMS, Order
from matching.windows import KeyRecord
from matching.wire import EVENT_FIELDS, EVENT_HEAD, STRIPE

CHAIN_ODD = 0x9E3779B97F4A7C15
CHAIN_SEED = tuple(range(1, 9))
_MASK = 2**64 - 1
_LOW = 2**32 - 1
_WORDS = struct.Struct("<8Q")


def _packer(kind: EventType, part: int) -> struct.Struct:
    """Return the stripe's struct with a key as one 16-byte string, which is faster to pack."""
    codes = "".join(code for _, code in (*EVENT_HEAD, *EVENT_FIELDS[kind, part]))
    names = [name for name, _ in (*EVENT_HEAD, *EVENT_FIELDS[kind, part])]
    if "key_low" in names:
        place = names.index("key_low")
        codes = codes[:place] + "k" + codes[place + 2 :]
    text = "<" + codes.replace("k", "16s")
    return struct.Struct(f"{text}{STRIPE - struct.calcsize(text)}x")


_ACCEPTED = _packer(EventType.ORDER_ACCEPTED, 0).pack
_ACCEPTED_1 = _packer(EventType.ORDER_ACCEPTED, 1).pack
_ACCEPTED_2 = _packer(EventType.ORDER_ACCEPTED, 2).pack
_ACCEPTED_3 = _packer(EventType.ORDER_ACCEPTED, 3).pack
_DUPLICATE = _packer(EventType.ORDER_DUPLICATE, 0).pack
_DUPLICATE_1 = _packer(EventType.ORDER_DUPLICATE, 1).pack
_CANCEL_ACCEPTED = _packer(EventType.CANCEL_ACCEPTED, 0).pack
_AMENDED = _packer(EventType.ORDER_AMENDED, 0).pack
_AMENDED_1 = _packer(EventType.ORDER_AMENDED, 1).pack
_SWITCH_SET = _packer(EventType.DEAD_MANS_SWITCH_SET, 0).pack
_SWITCH_FIRED = _packer(EventType.DEAD_MANS_SWITCH_FIRED, 0).pack
_REJECTED = _packer(EventType.COMMAND_REJECTED, 0).pack
_KEY_DUPLICATE = _packer(EventType.KEY_DUPLICATE, 0).pack
_TRADE = _packer(EventType.TRADE, 0).pack
_TRADE_1 = _packer(EventType.TRADE, 1).pack
_PREVENTED = _packer(EventType.SELF_TRADE_PREVENTED, 0).pack
_RESTED = _packer(EventType.ORDER_RESTED, 0).pack
_CLOSED = _packer(EventType.ORDER_CLOSED, 0).pack
_MONEY = _packer(EventType.CREDITED, 0).pack
_LISTED = _packer(EventType.SYMBOL_LISTED, 0).pack
_LISTED_1 = _packer(EventType.SYMBOL_LISTED, 1).pack
_STATE = _packer(EventType.SYMBOL_STATE_SET, 0).pack
_TICKED = _packer(EventType.TICKED, 0).pack

_T_ACCEPTED = int(EventType.ORDER_ACCEPTED)
_T_TRADE = int(EventType.TRADE)
_T_RESTED = int(EventType.ORDER_RESTED)
_T_CLOSED = int(EventType.ORDER_CLOSED)


def mixed(lanes: tuple[int, ...], words: tuple[int, ...]) -> tuple[int, ...]:
    """Return the chain after one more stripe of eight words.

    Each lane is rotated left by 29, then gets its neighbour's word and the product of the two
    halves of its own word (made odd-looking by a constant): cheap in wide registers, and every
    bit of every stripe and its place count.
    """
    a, b, c, d, e, f, g, h = lanes
    p, q, r, s, t, u, v, w = words
    odd, low, mask = CHAIN_ODD, _LOW, _MASK
    p_, q_, r_, s_, t_, u_, v_, w_ = (
        p ^ odd,
        q ^ odd,
        r ^ odd,
        s ^ odd,
        t ^ odd,
        u ^ odd,
        v ^ odd,
        w ^ odd,
    )
    return (
        ((a << 29 | a >> 35) + q + (p_ & low) * (p_ >> 32)) & mask,
        ((b << 29 | b >> 35) + p + (q_ & low) * (q_ >> 32)) & mask,
        ((c << 29 | c >> 35) + s + (r_ & low) * (r_ >> 32)) & mask,
        ((d << 29 | d >> 35) + r + (s_ & low) * (s_ >> 32)) & mask,
        ((e << 29 | e >> 35) + u + (t_ & low) * (t_ >> 32)) & mask,
        ((f << 29 | f >> 35) + t + (u_ & low) * (u_ >> 32)) & mask,
        ((g << 29 | g >> 35) + w + (v_ & low) * (v_ >> 32)) & mask,
        ((h << 29 | h >> 35) + v + (w_ & low) * (w_ >> 32)) & mask,
    )


class EventWriter:
    """Collect the stripes of a batch; number the events of each command from 0."""

    __slots__ = ("_out", "index", "lanes", "sequence", "time_us")

    def __init__(self, lanes: tuple[int, ...] = CHAIN_SEED) -> None:
        self._out: list[bytes] = []
        self.lanes = lanes
        self.sequence = 0
        self.time_us = 0
        self.index = 0

    def begin(self, sequence: int, time_us: int) -> None:
        """Start the events of the next command."""
        self.sequence = sequence
        self.time_us = time_us
        self.index = 0

    def take(self) -> bytes:
        """Return the collected stripes, mixed into the chain, and start anew."""
        data = b"".join(self._out)
        self._out.clear()
        lanes = self.lanes
        for words in _WORDS.iter_unpack(data):
            lanes = mixed(lanes, words)
        self.lanes = lanes
        return data

    def mark(self) -> int:
        """Return where the next stripe goes; the next event leaves index 0 to the outcome."""
        self.index = 1
        return len(self._out)

    def await_outcome(self) -> None:
        """Say that the next event is the outcome."""
        self.index = 0

    def outcome_first(self, mark: int, count: int) -> None:
        """Move the outcome before the `count` stripes at `mark`, which happened before it."""
        before, after = self._out[mark : mark + count], self._out[mark + count :]
        outcome = [stripe for stripe in after if stripe[8:10] == b"\0\0"]
        rest = [
            stripe[:8] + struct.pack("<H", stripe[8] + (stripe[9] << 8) + count) + stripe[10:]
            for stripe in after[len(outcome) :]
        ]
        self._out[mark:] = outcome + before + rest

    def _next(self) -> int:
        index = self.index
        self.index = index + 1
        return index

    def accepted(self, order: Order, hold_units: int) -> None:
        """Outcome: an order passed all checks."""
        n, i, s, g = self.sequence, self._next(), order.symbol_id, order.flags
        out = self._out
        out.append(
            _ACCEPTED(
                n,
                i,
                _T_ACCEPTED,
                0,
                s,
                g,
                self.time_us,
                order.account_id,
                order.order_id,
                order.identity[8:],
                order.price_ticks,
            )
        )
        out.append(_ACCEPTED_1(n, i, _T_ACCEPTED, 1, s, g, order.quantity_lots, hold_units))
        if order.text:
            out.append(_ACCEPTED_2(n, i, _T_ACCEPTED, 2, s, g, order.text))
        if order.terms != NO_TERMS:
            out.append(_ACCEPTED_3(n, i, _T_ACCEPTED, 3, s, g, *order.terms))

    def duplicate(self, order: Order, symbol_id: int, same_body: bool) -> None:
        """Outcome: the client order id is known; `order` is its order as it is now."""
        kind = EventType.ORDER_DUPLICATE
        n, i, g = self.sequence, self._next(), int(same_body) | order.status << 1
        self._out.append(
            _DUPLICATE(
                n,
                i,
                kind,
                0,
                symbol_id,
                g,
                self.time_us,
                order.account_id,
                order.identity[8:],
                order.order_id,
                order.accepted_sequence,
            )
        )
        self._out.append(_DUPLICATE_1(n, i, kind, 1, symbol_id, g, order.filled_lots))

    def cancel_accepted(self, account_id: int, symbol_id: int, closed_count: int) -> None:
        """Outcome: a cancel is carried out; the closes follow."""
        self._out.append(
            _CANCEL_ACCEPTED(
                self.sequence,
                self._next(),
                EventType.CANCEL_ACCEPTED,
                0,
                symbol_id,
                0,
                self.time_us,
                account_id,
                closed_count,
            )
        )

    def amended(self, order: Order, before: tuple[int, int], kept: bool) -> None:
        """Outcome: `order` is changed; `before` are its price and quantity until now."""
        n, i, kind = self.sequence, self._next(), EventType.ORDER_AMENDED
        s, g = order.symbol_id, order.side | (2 if kept else 0)
        about = (order.account_id, order.order_id, order.identity[8:], order.price_ticks)
        self._out.append(_AMENDED(n, i, kind, 0, s, g, self.time_us, *about))
        lots = (order.quantity_lots, order.filled_lots)
        self._out.append(_AMENDED_1(n, i, kind, 1, s, g, *lots, *before))

    def switch_set(self, account_id: int, deadline_us: int) -> None:
        """Outcome: a dead-man's switch is armed or (0) disarmed."""
        n, i, kind = self.sequence, self._next(), EventType.DEAD_MANS_SWITCH_SET
        self._out.append(_SWITCH_SET(n, i, kind, 0, 0, 0, self.time_us, account_id, deadline_us))

    def switch_fired(self, account_id: int, deadline_us: int, closed_count: int) -> None:
        """Say that a deadline passed; the closes follow."""
        n, i, kind = self.sequence, self._next(), EventType.DEAD_MANS_SWITCH_FIRED
        self._out.append(_SWITCH_FIRED(n, i, kind, 0, 0, 0, account_id, deadline_us, closed_count))

    def rejected(
        self, opcode: int, reason: int, account_id: int, key: bytes, symbol_id: int
    ) -> None:
        """Outcome: the command is refused."""
        self._out.append(
            _REJECTED(
                self.sequence,
                self._next(),
                EventType.COMMAND_REJECTED,
                0,
                symbol_id,
                reason,
                self.time_us,
                account_id,
                key,
                opcode,
            )
        )

    def key_duplicate(
        self, first: KeyRecord, opcode: int, account_id: int, same_body: bool
    ) -> None:
        """Outcome: the command key is known; its first outcome stands."""
        self._out.append(
            _KEY_DUPLICATE(
                self.sequence,
                self._next(),
                EventType.KEY_DUPLICATE,
                0,
                0,
                int(same_body),
                self.time_us,
                account_id,
                first.key,
                first.sequence,
                opcode,
                first.reason,
            )
        )

    def trade(
        self,
        trade_id: int,
        maker: Order,
        taker: Order,
        lots: int,
        amounts: tuple[int, int, int, int],
    ) -> None:
        """One fill; `amounts` are base, quote, maker fee and taker fee units."""
        n, i, s, g = self.sequence, self._next(), taker.symbol_id, taker.side
        out = self._out
        out.append(
            _TRADE(
                n,
                i,
                _T_TRADE,
                0,
                s,
                g,
                trade_id,
                maker.order_id,
                taker.order_id,
                maker.account_id,
                taker.account_id,
                maker.price_ticks,
            )
        )
        out.append(_TRADE_1(n, i, _T_TRADE, 1, s, g, lots, *amounts))

    def prevented(self, maker: Order, taker: Order, lots: int) -> None:
        """Say that two orders of one account shrank instead of trading."""
        self._out.append(
            _PREVENTED(
                self.sequence,
                self._next(),
                EventType.SELF_TRADE_PREVENTED,
                0,
                taker.symbol_id,
                taker.side,
                taker.account_id,
                maker.order_id,
                taker.order_id,
                maker.price_ticks,
                lots,
            )
        )

    def rested(self, order: Order) -> None:
        """Say that the order's remainder joined its level."""
        self._out.append(
            _RESTED(
                self.sequence,
                self._next(),
                _T_RESTED,
                0,
                order.symbol_id,
                order.side,
                order.account_id,
                order.order_id,
                order.price_ticks,
                order.quantity_lots - order.filled_lots,
            )
        )

    def closed(self, order: Order, reason: CloseReason, resting: bool) -> None:
        """Say that the order left the engine."""
        self._out.append(
            _CLOSED(
                self.sequence,
                self._next(),
                _T_CLOSED,
                0,
                order.symbol_id,
                order.side | (2 if resting else 0) | reason << 8,
                order.account_id,
                order.order_id,
                order.price_ticks,
                order.quantity_lots - order.filled_lots,
                order.filled_lots,
            )
        )

    def money(
        self, kind: EventType, account_id: int, asset_id: int, key: bytes, amount_units: int
    ) -> None:
        """Outcome: a credit or debit took effect."""
        n, i = self.sequence, self._next()
        self._out.append(
            _MONEY(n, i, kind, 0, asset_id, 0, self.time_us, account_id, key, amount_units)
        )

    def listed(self, rules: ListSymbol) -> None:
        """Outcome: a market exists."""
        n, i, kind, s = self.sequence, self._next(), EventType.SYMBOL_LISTED, rules.symbol_id
        for part, pack, first in ((0, _LISTED, (self.time_us,)), (1, _LISTED_1, ())):
            values = [
                getattr(rules, name) for name, _ in EVENT_FIELDS[kind, part] if name != "time_us"
            ]
            self._out.append(pack(n, i, kind, part, s, 0, *first, *values))

    def pair(self, kind: EventType, symbol_id: int, first: int, second: int) -> None:
        """Outcome of two numbers: a state and its reason, or epoch and build."""
        n, i = self.sequence, self._next()
        self._out.append(_STATE(n, i, kind, 0, symbol_id, 0, self.time_us, first, second))

    def ticked(self) -> None:
        """Outcome: time passed."""
        n, i = self.sequence, self._next()
        self._out.append(_TICKED(n, i, EventType.TICKED, 0, 0, 0, self.time_us))
