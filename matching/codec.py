"""Between dataclasses and stripes: encode and decode commands and events.

The byte table is `matching/wire.py`. Anything that does not follow it is refused with
`WireError`; no input makes the decoder fail in another way.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from operator import attrgetter

from domain import commands as c
from domain.commands import Command, Opcode
from domain.order import (
    ListKind,
    SelfTrade,
    ShardMode,
    Side,
    StateCause,
    SymbolState,
    TriggerSource,
)
from matching import risk_codec
from matching.event_codec import (
    by_command,
    decode_only,
    encode_event,
    encode_events,
    events_between,
    view_events,
)
from matching.event_decoder import decode_events
from matching.market_codec import pack_rules, unpack_rules
from matching.order_codec import listed_at, order_terms
from matching.risk_wire import RISK_STRIPES
from matching.wire import (
    AMEND_STRIPE,
    COMMAND_HEAD,
    COMMAND_VERSION,
    MAX_ACTOR,
    MAX_LISTED,
    MAX_REASON,
    MAX_TEXT,
    MIN_LISTED,
    ORDER_TERMS_FIELDS,
    STAMP,
    STATUS_STRIPES,
    STRIPE,
    TERMS_STRIPE,
    TEXT_STRIPE,
    WireError,
    WireFault,
    order_flags,
    order_words,
)

__all__ = [
    "CommandRecord",
    "Placed",
    "by_command",
    "check_order",
    "decode_commands",
    "decode_events",
    "decode_only",
    "encode_command",
    "encode_event",
    "encode_events",
    "events_between",
    "split_commands",
    "stamp",
    "view_events",
]

_OPCODES = frozenset(int(opcode) for opcode in Opcode)
_STRIPES: dict[int, int] = {  # else 1
    Opcode.AMEND_ORDER: 2,
    Opcode.LIST_SYMBOL: 3,
    Opcode.SET_PARAMETERS: 3,
    Opcode.SET_SYMBOL_STATE: 3,
    Opcode.SET_SHARD_MODE: 3,
    Opcode.DELIST_SYMBOL: 3,
    **{int(opcode): stripes for opcode, stripes in RISK_STRIPES.items()},
}
_NO_KEY = bytes(16)
_TERMS_OF = attrgetter(*(name for name, _ in ORDER_TERMS_FIELDS))


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command as journalled: who, when, what."""

    sequence: int
    time_us: int
    command: Command


@dataclass(frozen=True, slots=True)
class Placed:
    """Where one command lies in a batch."""

    offset: int
    length: int
    opcode: int


def encode_command(command: Command, *, sequence: int = 0, time_us: int = 0) -> bytes:
    """Return the stripes of `command`; a field beyond its width is refused with `WireError`."""
    try:
        return _encode(command, sequence, time_us)
    except (struct.error, ValueError, OverflowError) as error:
        raise WireError(WireFault.BAD_FIELD, f"{type(command).__name__}: {error}") from error


def _encode(command: Command, sequence: int, time_us: int) -> bytes:
    symbol = flags = account = a = b = text_length = 0
    key, extension = _NO_KEY, b""
    match command:
        case c.PlaceOrder():
            symbol, account = command.symbol_id, command.account_id
            a, b = command.price_ticks, command.quantity_lots
            key = command.client_key.to_bytes(16, "little")
            flags = order_flags(
                command.side,
                command.order_type,
                command.time_in_force,
                command.post_only,
                command.self_trade,
                command.trigger_source,
                command.reduce_only,
                command.close_position,
            )
            text = command.client_text.encode("ascii")
            text_length = len(text)
            if text_length > MAX_TEXT:
                raise ValueError(f"client text of {text_length} characters")
            extension = TEXT_STRIPE.pack(text) if text else b""
            terms = _TERMS_OF(command)
            if any(terms):
                extension += TERMS_STRIPE.pack(*terms, b"")
        case c.PlaceOrderList():
            first = command.orders[0]
            symbol, account, flags = first.symbol_id, first.account_id, command.kind
            key = first.client_key.to_bytes(16, "little")
            extension = b"".join(_encode(order, 0, 0) for order in command.orders)
        case c.CancelOrder():
            symbol, account, a = command.symbol_id, command.account_id, command.order_id
            key = command.client_key.to_bytes(16, "little")
        case c.CancelAll():
            symbol, account = command.symbol_id, command.account_id
            a = 0 if command.side is None else command.side + 1
        case c.AmendOrder():
            symbol, account = command.symbol_id, command.account_id
            a, b = command.price_ticks, command.quantity_lots
            key = command.client_key.to_bytes(16, "little")
            extension = AMEND_STRIPE.pack(command.order_id, command.trigger_price_ticks)
        case c.SetDeadMansSwitch():
            account, a = command.account_id, command.timeout_us
        case c.Credit() | c.Debit():
            symbol, account = command.asset_id, command.account_id
            a, b = command.amount_units, command.created_at_us
            key = command.key.to_bytes(16, "little")
        case c.ListSymbol() | c.SetParameters():
            symbol = command.symbol_id
            a, b = command.base_units_per_lot, command.quote_units_per_tick_lot
            key = command.key.to_bytes(16, "little")
            extension = pack_rules(command)
        case c.SetAccountTier():
            account, a = command.account_id, command.tier
            key = command.key.to_bytes(16, "little")
        case c.DelistSymbol():
            symbol = command.symbol_id
            extension = _status_stripes(command.actor, command.reason)
        case c.SetSymbolState():
            symbol, a, b = command.symbol_id, command.state, command.cause
            extension = _status_stripes(command.actor, command.reason)
        case c.SetShardMode():
            a, b = command.mode, command.cause
            extension = _status_stripes(command.actor, command.reason)
        case c.Started():
            a, b = command.epoch, command.build_id
        case c.Tick():
            pass
        case _:
            body = risk_codec.pack(command, _status_stripes)
            symbol, account, number, a, b, flags, extension = body
            key = number.to_bytes(16, "little")
    head = COMMAND_HEAD.pack(
        sequence,
        time_us,
        command.opcode,
        COMMAND_VERSION,
        1 + len(extension) // STRIPE,
        text_length,
        symbol,
        flags,
        account,
        key,
        a,
        b,
    )
    return head + extension


def _status_stripes(actor: str, reason: str) -> bytes:
    if len(actor) > MAX_ACTOR or len(reason) > MAX_REASON:
        raise ValueError(f"actor of {len(actor)}, reason of {len(reason)} characters")
    return STATUS_STRIPES.pack(actor.encode("ascii"), reason.encode("ascii"))


def split_commands(data: bytes | bytearray | memoryview) -> list[Placed]:
    """Return where each command of a batch lies, after checking all framing; else `WireError`."""
    size = len(data)
    if size % STRIPE:
        raise WireError(WireFault.BAD_LENGTH, f"{size} bytes are not whole stripes")
    placed: list[Placed] = []
    offset = 0
    while offset < size:
        opcode, version, stripes, text_length = data[offset + 16 : offset + 20]
        if version != COMMAND_VERSION:
            raise WireError(WireFault.BAD_VERSION, f"command version {version} at {offset}")
        if opcode not in _OPCODES:
            raise WireError(WireFault.UNKNOWN_OPCODE, f"opcode {opcode} at {offset}")
        if opcode == Opcode.PLACE_ORDER:
            expected = _order_stripes(stripes, text_length)
        elif opcode == Opcode.PLACE_ORDER_LIST and text_length == 0:
            expected = 1 + _listed_stripes(data, offset + STRIPE, stripes - 1)
        else:
            expected = _STRIPES.get(opcode, 1)
            text_length = text_length and MAX_TEXT + 1
        if stripes != expected or text_length > MAX_TEXT:
            raise WireError(WireFault.BAD_LENGTH, f"{stripes} stripes at {offset}")
        length = stripes * STRIPE
        if offset + length > size:
            raise WireError(WireFault.BAD_LENGTH, f"record at {offset} is cut off")
        placed.append(Placed(offset, length, opcode))
        offset += length
    return placed


def _order_stripes(stripes: int, text_length: int) -> int:
    """Return how many stripes an order has that says it has `stripes`: two kinds are optional."""
    with_text = 2 if text_length else 1
    return with_text + (stripes == with_text + 1)  # the rarer terms


def _listed_stripes(data: bytes | bytearray | memoryview, offset: int, said: int) -> int:
    """Return how many stripes the orders of a list have that says `said`; else `WireError`."""
    start = offset
    for count in range(MAX_LISTED):
        if count >= MIN_LISTED and offset - start >= said * STRIPE:
            break
        if offset + STRIPE > len(data):
            raise WireError(WireFault.BAD_LENGTH, f"a list without its order at {offset}")
        opcode, version, stripes, text_length = data[offset + 16 : offset + 20]
        if opcode != Opcode.PLACE_ORDER or version != COMMAND_VERSION:
            raise WireError(WireFault.BAD_FIELD, f"no order in a list at {offset}")
        if stripes != _order_stripes(stripes, text_length) or text_length > MAX_TEXT:
            raise WireError(WireFault.BAD_LENGTH, f"{stripes} stripes at {offset}")
        offset += stripes * STRIPE
    return (offset - start) // STRIPE


def check_order(record: bytes) -> None:
    """Refuse anything but one well-formed PLACE_ORDER or PLACE_ORDER_LIST with `WireError`."""
    opcodes = [place.opcode for place in split_commands(record)]
    if opcodes not in ([Opcode.PLACE_ORDER], [Opcode.PLACE_ORDER_LIST]):
        raise WireError(WireFault.UNKNOWN_OPCODE, "not one PLACE_ORDER or PLACE_ORDER_LIST")


def stamp(batch: bytearray, offset: int, sequence: int, time_us: int) -> None:
    """Write number and time into the command at `offset`."""
    STAMP.pack_into(batch, offset, sequence, time_us)


def decode_commands(data: bytes) -> list[CommandRecord]:
    """Return the commands of a batch; malformed bytes are refused with `WireError`."""
    return [_decode(data, place.offset) for place in split_commands(data)]


def _decode(data: bytes, offset: int) -> CommandRecord:
    head = COMMAND_HEAD.unpack_from(data, offset)
    sequence, time_us, opcode, _, _, text_length, symbol, flags, account, key, a, b = head
    number = int.from_bytes(key, "little")
    command: Command
    try:
        match opcode:
            case Opcode.PLACE_ORDER:
                start = offset + STRIPE
                terms = order_terms(data, offset)[0]
                command = c.PlaceOrder(
                    account,
                    number,
                    symbol,
                    *order_words(flags),
                    a,
                    b,
                    bool(flags >> 8 & 1),
                    SelfTrade(flags >> 9 & 7),
                    data[start : start + text_length].decode("ascii"),
                    terms.quote_budget_units,
                    terms.expires_at_us,
                    terms.display_lots,
                    terms.trigger_price_ticks,
                    terms.trailing_offset_ticks,
                    TriggerSource(flags >> 12 & 3),
                    bool(flags >> 14 & 1),
                    bool(flags >> 15),
                )
            case Opcode.PLACE_ORDER_LIST:
                command = c.PlaceOrderList(ListKind(flags), _listed(data, offset))
            case Opcode.CANCEL_ORDER:
                command = c.CancelOrder(account, symbol, a, number)
            case Opcode.CANCEL_ALL:
                command = c.CancelAll(account, symbol, Side(a - 1) if a else None)
            case Opcode.AMEND_ORDER:
                order_id, trigger = AMEND_STRIPE.unpack_from(data, offset + STRIPE)
                command = c.AmendOrder(account, symbol, order_id, number, a, b, trigger)
            case Opcode.SET_DEAD_MANS_SWITCH:
                command = c.SetDeadMansSwitch(account, a)
            case Opcode.CREDIT:
                command = c.Credit(number, account, symbol, a, b)
            case Opcode.DEBIT:
                command = c.Debit(number, account, symbol, a, b)
            case Opcode.LIST_SYMBOL:
                command = unpack_rules(c.ListSymbol, (symbol, a, b), data, offset)
            case Opcode.SET_PARAMETERS:
                command = unpack_rules(c.SetParameters, (symbol, a, b), data, offset)
            case Opcode.SET_ACCOUNT_TIER:
                command = c.SetAccountTier(account, a, number)
            case Opcode.DELIST_SYMBOL:
                command = c.DelistSymbol(symbol, *_said(data, offset))
            case Opcode.SET_SYMBOL_STATE:
                said = _said(data, offset)
                command = c.SetSymbolState(symbol, SymbolState(a), StateCause(b), *said)
            case Opcode.SET_SHARD_MODE:
                command = c.SetShardMode(ShardMode(a), StateCause(b), *_said(data, offset))
            case Opcode.STARTED:
                command = c.Started(a, b)
            case Opcode.TICK:
                command = c.Tick()
            case _:
                extension = data[offset + STRIPE : offset + data[offset + 18] * STRIPE]
                body = risk_codec.Body(symbol, account, number, a, b, flags, extension)
                command = risk_codec.unpack(opcode, body, lambda: _said(data, offset))
    except ValueError as error:
        raise WireError(WireFault.BAD_FIELD, f"{error} at {offset}") from error
    return CommandRecord(sequence, time_us, command)


def _listed(data: bytes, offset: int) -> tuple[c.PlaceOrder, ...]:
    orders = []
    for at in listed_at(data, offset):
        order = _decode(data, at).command
        assert isinstance(order, c.PlaceOrder)
        orders.append(order)
    return tuple(orders)


def _said(data: bytes, offset: int) -> tuple[str, str]:
    actor, reason = STATUS_STRIPES.unpack_from(data, offset + STRIPE)
    return actor.rstrip(b"\0").decode("ascii"), reason.rstrip(b"\0").decode("ascii")
