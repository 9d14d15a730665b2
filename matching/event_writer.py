"""Where the reference engine writes its events: of orders, of money, of the shard."""

from __future__ import annotations

from dataclasses import fields

from domain.commands import MarketRules
from domain.event_type import EventType
from domain.trading_status import StatusReason
from matching.event_batch import packer
from matching.market_codec import pack_fees
from matching.order_event_writer import OrderEvents
from matching.risk_event_writer import RiskEvents
from matching.windows import KeyRecord
from matching.wire import EVENT_FIELDS, EVENT_STRUCTS, REASON_PART

_CANCEL_ACCEPTED = packer(EventType.CANCEL_ACCEPTED, 0).pack
_SWITCH_SET = packer(EventType.DEAD_MANS_SWITCH_SET, 0).pack
_SWITCH_FIRED = packer(EventType.DEAD_MANS_SWITCH_FIRED, 0).pack
_REJECTED = packer(EventType.COMMAND_REJECTED, 0).pack
_KEY_DUPLICATE = packer(EventType.KEY_DUPLICATE, 0).pack
_MONEY = packer(EventType.CREDITED, 0).pack
_TIER = packer(EventType.ACCOUNT_TIER_SET, 0).pack
_STATE = packer(EventType.SYMBOL_STATE_SET, 0).pack
_ACTOR = packer(EventType.SYMBOL_STATE_SET, 1).pack
_REASON = packer(EventType.SYMBOL_STATE_SET, 2).pack
_DELISTED = packer(EventType.SYMBOL_DELISTED, 0).pack
_STARTED = packer(EventType.STARTED, 0).pack
_TICKED = packer(EventType.TICKED, 0).pack
_PARTS = {EventType.SYMBOL_LISTED: 4, EventType.PARAMETERS_SET: 6}


def _values(rules: MarketRules) -> dict[str, int | bytes]:
    """Return the fields of `rules` by the names that they have in events."""
    values = {field.name: getattr(rules, field.name) for field in fields(rules)}
    fees = pack_fees(values.pop("fees"))
    return {**values, "fees_low": fees[:32], "fees_high": fees[32:]}


class EventWriter(OrderEvents, RiskEvents):
    """Write every event of a shard."""

    __slots__ = ()

    def cancel_accepted(self, account_id: int, symbol_id: int, closed_count: int) -> None:
        """Outcome: a cancel is carried out; the closes follow."""
        self.out.append(
            _CANCEL_ACCEPTED(
                self.sequence,
                self.next_index(),
                EventType.CANCEL_ACCEPTED,
                0,
                symbol_id,
                0,
                self.time_us,
                account_id,
                closed_count,
            )
        )

    def switch_set(self, account_id: int, deadline_us: int) -> None:
        """Outcome: a dead-man's switch is armed or (0) disarmed."""
        n, i, kind = self.sequence, self.next_index(), EventType.DEAD_MANS_SWITCH_SET
        self.out.append(_SWITCH_SET(n, i, kind, 0, 0, 0, self.time_us, account_id, deadline_us))

    def switch_fired(self, account_id: int, deadline_us: int, closed_count: int) -> None:
        """Say that a deadline passed; the closes follow."""
        n, i, kind = self.sequence, self.next_index(), EventType.DEAD_MANS_SWITCH_FIRED
        self.out.append(_SWITCH_FIRED(n, i, kind, 0, 0, 0, account_id, deadline_us, closed_count))

    def rejected(
        self,
        opcode: int,
        reason: int,
        account_id: int,
        key: bytes,
        symbol_id: int,
        list_position: int = 0,
    ) -> None:
        """Outcome: the command is refused; of a list perhaps for one of its orders."""
        self.out.append(
            _REJECTED(
                self.sequence,
                self.next_index(),
                EventType.COMMAND_REJECTED,
                0,
                symbol_id,
                reason,
                self.time_us,
                account_id,
                key,
                opcode,
                list_position,
            )
        )

    def key_duplicate(
        self, first: KeyRecord, opcode: int, account_id: int, same_body: bool
    ) -> None:
        """Outcome: the command key is known; its first outcome stands."""
        self.out.append(
            _KEY_DUPLICATE(
                self.sequence,
                self.next_index(),
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

    def money(
        self, kind: EventType, account_id: int, asset_id: int, key: bytes, amount_units: int
    ) -> None:
        """Outcome: a credit or debit took effect."""
        n, i = self.sequence, self.next_index()
        self.out.append(
            _MONEY(n, i, kind, 0, asset_id, 0, self.time_us, account_id, key, amount_units)
        )

    def listed(self, rules: MarketRules) -> None:
        """Outcome: a market exists."""
        self._rules(EventType.SYMBOL_LISTED, rules.symbol_id, _values(rules))

    def parameters_set(self, rules: MarketRules, previous: MarketRules) -> None:
        """Outcome: a market's rules are changed; `previous` are those until now."""
        before = {f"previous_{name}": value for name, value in _values(previous).items()}
        self._rules(EventType.PARAMETERS_SET, rules.symbol_id, {**_values(rules), **before})

    def _rules(self, kind: EventType, symbol_id: int, values: dict[str, int | bytes]) -> None:
        n, i = self.sequence, self.next_index()
        values["time_us"] = self.time_us
        for part in range(_PARTS[kind]):
            body = (values[name] for name, _ in EVENT_FIELDS[kind, part])
            self.out.append(EVENT_STRUCTS[kind, part].pack(n, i, kind, part, symbol_id, 0, *body))

    def tier_set(self, account_id: int, tier: int, previous: int) -> None:
        """Outcome: an account has a fee tier."""
        n, i, kind = self.sequence, self.next_index(), EventType.ACCOUNT_TIER_SET
        self.out.append(_TIER(n, i, kind, 0, 0, 0, self.time_us, account_id, tier, previous))

    def state_set(self, kind: EventType, symbol_id: int, value: int, said: StatusReason) -> None:
        """Outcome: a market's state or the shard's mode is `value`."""
        head = (self.sequence, self.next_index(), kind)
        self.out.append(_STATE(*head, 0, symbol_id, 0, self.time_us, value, said.cause))
        self._said(head, symbol_id, said)

    def delisted(
        self, symbol_id: int, closed_count: int, open_orders: int, said: StatusReason
    ) -> None:
        """Outcome: a market is closed for ever; the closes follow."""
        head = (self.sequence, self.next_index(), EventType.SYMBOL_DELISTED)
        self.out.append(_DELISTED(*head, 0, symbol_id, 0, self.time_us, closed_count, open_orders))
        self._said(head, symbol_id, said)

    def _said(self, head: tuple[int, int, int], symbol_id: int, said: StatusReason) -> None:
        reason = said.reason.encode("ascii")
        self.out += (
            _ACTOR(*head, 1, symbol_id, 0, said.actor.encode("ascii")),
            _REASON(*head, 2, symbol_id, 0, reason[:REASON_PART]),
            _REASON(*head, 3, symbol_id, 0, reason[REASON_PART:]),
        )

    def started(self, epoch: int, build_id: int) -> None:
        """Outcome: this process writes from here on."""
        n, i = self.sequence, self.next_index()
        self.out.append(_STARTED(n, i, EventType.STARTED, 0, 0, 0, self.time_us, epoch, build_id))

    def ticked(self) -> None:
        """Outcome: time passed."""
        n, i = self.sequence, self.next_index()
        self.out.append(_TICKED(n, i, EventType.TICKED, 0, 0, 0, self.time_us))
