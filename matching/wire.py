"""The one byte table: how commands and events lie in 64-byte little-endian stripes.

A batch is a plain concatenation of records; a record of a command is one to four stripes, that of
a list of two or three orders as many as they have and one.

Command, first stripe: sequence u64 | time_us i64 | opcode u8 | version u8 | stripes u8 |
text_length u8 | symbol_id u16 | flags u16 | account_id u64 | key 16 bytes | a i64 | b i64.
What `symbol_id`, `a` and `b` mean is in `COMMAND_FIELDS` (`sides`: 0 both, else side + 1);
extension stripes: an order's client text (36 bytes, zero padded) if it has one, then its rarer
terms `ORDER_TERMS_FIELDS` if there are any; a list's PLACE_ORDER records, one behind the other,
unnumbered and without a time (its own stripe says in `flags` of which kind it is, and account,
symbol and key of its first order again); a market's `MARKET_FIELDS` and then its fees, maker
and taker rate (i32) by tier; an amend's order id (u64) and trigger price (i64); who sets a state
and why (32 and 96 bytes of printable ASCII, zero padded).

Event, every stripe: sequence u64 | index u16 | type u8 | part u8 | symbol_id u16 | flags u16 and
a body of 48 bytes, `EVENT_FIELDS` by (type, part). An event of several parts repeats the header.

Order flags (command and ORDER_ACCEPTED): bit 0 side, bits 1-4 order type, bits 5-7 time in
force, bit 8 post-only, bits 9-11 self-trade mode, bits 12-13 trigger source, bit 14 reduce-only,
bit 15 close-position.
Numbers are never reused and a layout never changes: a new one gets a new number.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from types import MappingProxyType
from typing import Final

import numpy as np

from domain.commands import Opcode
from domain.events import EventType
from domain.order import OrderType, Side, TimeInForce
from matching.risk_wire import RISK_COMMAND_FIELDS, RISK_EVENT_FIELDS

SCHEMA_VERSION: Final = 10
COMMAND_VERSION: Final = 2
STRIPE: Final = 64
MAX_TEXT: Final = 36
MIN_LISTED: Final = 2  # orders of one list
MAX_LISTED: Final = 3
MAX_EVENTS_PER_COMMAND: Final = 2**16
MAX_TIME_US: Final = 2**62  # so that a time and any window after it fit an int64
_RESTING: Final = (int(TimeInForce.GTC), int(TimeInForce.GTD))

COMMAND_HEAD: Final = struct.Struct("<QqBBBBHHQ16sqq")
STAMP: Final = struct.Struct("<Qq")
TEXT_STRIPE: Final = struct.Struct("<36s28x")
AMEND_STRIPE: Final = struct.Struct("<Qq48x")
STATUS_STRIPES: Final = struct.Struct("<32s96s")
MAX_ACTOR: Final = 32
MAX_REASON: Final = 96
REASON_PART: Final = 48  # a reason's bytes that fit into one stripe of an event

COMMAND_FIELDS: Final = MappingProxyType(
    {
        Opcode.PLACE_ORDER: ("symbol_id", "price_ticks", "quantity_lots"),
        Opcode.CANCEL_ORDER: ("symbol_id", "order_id", ""),
        Opcode.CANCEL_ALL: ("symbol_id", "sides", ""),
        Opcode.AMEND_ORDER: ("symbol_id", "price_ticks", "quantity_lots"),
        Opcode.SET_DEAD_MANS_SWITCH: ("", "timeout_us", ""),
        Opcode.PLACE_ORDER_LIST: ("symbol_id", "", ""),
        Opcode.CREDIT: ("asset_id", "amount_units", "created_at_us"),
        Opcode.DEBIT: ("asset_id", "amount_units", "created_at_us"),
        Opcode.LIST_SYMBOL: ("symbol_id", "base_units_per_lot", "quote_units_per_tick_lot"),
        Opcode.SET_SYMBOL_STATE: ("symbol_id", "state", "cause"),
        Opcode.SET_SHARD_MODE: ("", "mode", "cause"),
        Opcode.SET_PARAMETERS: ("symbol_id", "base_units_per_lot", "quote_units_per_tick_lot"),
        Opcode.SET_ACCOUNT_TIER: ("", "tier", ""),
        Opcode.DELIST_SYMBOL: ("symbol_id", "", ""),
        Opcode.STARTED: ("", "epoch", "build_id"),
        Opcode.TICK: ("", "", ""),
        **RISK_COMMAND_FIELDS,
    }
)

# (name, struct format) of an extension stripe; what is left of the 64 bytes is zero.
MARKET_FIELDS: Final = (
    ("base_asset_id", "H"),
    ("quote_asset_id", "H"),
    ("max_taker_fee_ppm", "i"),
    ("band_ppm", "q"),
    ("listing_price_ticks", "q"),
    ("max_order_lots", "q"),
    ("max_position_lots", "q"),
    ("max_open_orders", "I"),
)

ORDER_TERMS_FIELDS: Final = (
    ("quote_budget_units", "q"),
    ("expires_at_us", "q"),
    ("display_lots", "q"),
    ("trigger_price_ticks", "q"),
    ("trailing_offset_ticks", "q"),
)

EVENT_HEAD: Final = (
    ("sequence", "Q"),
    ("index", "H"),
    ("type", "B"),
    ("part", "B"),
    ("symbol_id", "H"),
    ("flags", "H"),
)

_TIMED: Final = (("time_us", "q"), ("account_id", "Q"))
_KEY: Final = (("key_low", "Q"), ("key_high", "Q"))
_STANDS: Final = (
    ("account_id", "Q"),
    ("order_id", "Q"),
    ("price_ticks", "q"),
    ("remaining_lots", "q"),
    ("hidden_lots", "q"),
)
_MONEY: Final = (*_TIMED, *_KEY, ("amount_units", "q"))

EVENT_FIELDS: Final[MappingProxyType[tuple[EventType, int], tuple[tuple[str, str], ...]]] = (
    MappingProxyType(
        {
            (EventType.ORDER_ACCEPTED, 0): (
                *_TIMED,
                ("order_id", "Q"),
                *_KEY,
                ("price_ticks", "q"),
            ),
            (EventType.ORDER_ACCEPTED, 1): (
                ("quantity_lots", "q"),
                ("hold_units", "q"),
                ("entry_order_id", "Q"),
            ),
            (EventType.ORDER_ACCEPTED, 2): (("client_text", "36s"),),
            (EventType.ORDER_ACCEPTED, 3): (*ORDER_TERMS_FIELDS, ("list_id", "q")),
            (EventType.ORDER_DUPLICATE, 0): (
                *_TIMED,
                *_KEY,
                ("order_id", "Q"),
                ("accepted_sequence", "Q"),
            ),
            (EventType.ORDER_DUPLICATE, 1): (
                ("accepted_at_us", "q"),
                ("price_ticks", "q"),
                ("quantity_lots", "q"),
                ("filled_lots", "q"),
                ("trigger_price_ticks", "q"),
            ),
            (EventType.CANCEL_ACCEPTED, 0): (*_TIMED, ("closed_count", "Q")),
            (EventType.ORDER_AMENDED, 0): (
                *_TIMED,
                ("order_id", "Q"),
                *_KEY,
                ("price_ticks", "q"),
            ),
            (EventType.ORDER_AMENDED, 1): (
                ("quantity_lots", "q"),
                ("filled_lots", "q"),
                ("previous_price_ticks", "q"),
                ("previous_quantity_lots", "q"),
                ("hidden_lots", "q"),
                ("previous_hidden_lots", "q"),
            ),
            (EventType.ORDER_AMENDED, 2): (
                ("trigger_price_ticks", "q"),
                ("previous_trigger_price_ticks", "q"),
            ),
            (EventType.DEAD_MANS_SWITCH_SET, 0): (*_TIMED, ("deadline_us", "q")),
            (EventType.DEAD_MANS_SWITCH_FIRED, 0): (
                ("account_id", "Q"),
                ("deadline_us", "q"),
                ("closed_count", "q"),
            ),
            (EventType.COMMAND_REJECTED, 0): (
                *_TIMED,
                *_KEY,
                ("opcode", "Q"),
                ("list_position", "Q"),
            ),
            (EventType.KEY_DUPLICATE, 0): (
                *_TIMED,
                *_KEY,
                ("first_sequence", "Q"),
                ("opcode", "H"),
                ("first_reason", "H"),
            ),
            (EventType.TRADE, 0): (
                ("trade_id", "Q"),
                ("maker_order_id", "Q"),
                ("taker_order_id", "Q"),
                ("maker_account_id", "Q"),
                ("taker_account_id", "Q"),
                ("price_ticks", "q"),
            ),
            (EventType.TRADE, 1): (
                ("quantity_lots", "q"),
                ("base_units", "q"),
                ("quote_units", "q"),
                ("maker_fee_units", "q"),
                ("taker_fee_units", "q"),
            ),
            (EventType.SELF_TRADE_PREVENTED, 0): (
                ("account_id", "Q"),
                ("maker_order_id", "Q"),
                ("taker_order_id", "Q"),
                ("price_ticks", "q"),
                ("lots", "q"),
            ),
            (EventType.ORDER_RESTED, 0): _STANDS,
            (EventType.ORDER_REFILLED, 0): _STANDS,
            (EventType.ORDER_TRIGGERED, 0): (
                ("account_id", "Q"),
                ("order_id", "Q"),
                ("trigger_price_ticks", "q"),
                ("reached_price_ticks", "q"),
                ("refusal", "q"),
            ),
            (EventType.ORDER_ARMED, 0): (
                ("account_id", "Q"),
                ("order_id", "Q"),
                ("quantity_lots", "q"),
                ("previous_quantity_lots", "q"),
                ("hold_units", "q"),
                ("refusal", "q"),
            ),
            (EventType.ORDER_CLOSED, 0): (
                ("account_id", "Q"),
                ("order_id", "Q"),
                ("price_ticks", "q"),
                ("remaining_lots", "q"),
                ("filled_lots", "q"),
                ("hidden_lots", "q"),
            ),
            (EventType.CREDITED, 0): _MONEY,
            (EventType.DEBITED, 0): _MONEY,
            (EventType.SYMBOL_LISTED, 0): (
                ("time_us", "q"),
                ("base_units_per_lot", "q"),
                ("quote_units_per_tick_lot", "q"),
                ("listing_price_ticks", "q"),
                ("max_order_lots", "q"),
                ("band_ppm", "q"),
            ),
            (EventType.SYMBOL_LISTED, 1): (
                ("base_asset_id", "H"),
                ("quote_asset_id", "H"),
                ("max_taker_fee_ppm", "i"),
                ("max_position_lots", "q"),
                ("max_open_orders", "I"),
            ),
            (EventType.SYMBOL_LISTED, 2): (("fees_low", "32s"),),
            (EventType.SYMBOL_LISTED, 3): (("fees_high", "32s"),),
            (EventType.PARAMETERS_SET, 0): (
                ("time_us", "q"),
                ("band_ppm", "q"),
                ("max_order_lots", "q"),
                ("max_position_lots", "q"),
                ("max_open_orders", "I"),
            ),
            (EventType.PARAMETERS_SET, 1): (
                ("previous_band_ppm", "q"),
                ("previous_max_order_lots", "q"),
                ("previous_max_position_lots", "q"),
                ("previous_max_open_orders", "I"),
            ),
            (EventType.PARAMETERS_SET, 2): (("fees_low", "32s"),),
            (EventType.PARAMETERS_SET, 3): (("fees_high", "32s"),),
            (EventType.PARAMETERS_SET, 4): (("previous_fees_low", "32s"),),
            (EventType.PARAMETERS_SET, 5): (("previous_fees_high", "32s"),),
            (EventType.ACCOUNT_TIER_SET, 0): (*_TIMED, ("tier", "q"), ("previous_tier", "q")),
            (EventType.SYMBOL_STATE_SET, 0): (
                ("time_us", "q"),
                ("state", "q"),
                ("cause", "q"),
            ),
            (EventType.SYMBOL_STATE_SET, 1): (("actor", "32s"),),
            (EventType.SYMBOL_STATE_SET, 2): (("reason", "48s"),),
            (EventType.SYMBOL_STATE_SET, 3): (("reason_more", "48s"),),
            (EventType.SYMBOL_DELISTED, 0): (
                ("time_us", "q"),
                ("closed_count", "Q"),
                ("open_orders", "Q"),
            ),
            (EventType.SYMBOL_DELISTED, 1): (("actor", "32s"),),
            (EventType.SYMBOL_DELISTED, 2): (("reason", "48s"),),
            (EventType.SYMBOL_DELISTED, 3): (("reason_more", "48s"),),
            (EventType.SHARD_MODE_SET, 0): (
                ("time_us", "q"),
                ("mode", "q"),
                ("cause", "q"),
            ),
            (EventType.SHARD_MODE_SET, 1): (("actor", "32s"),),
            (EventType.SHARD_MODE_SET, 2): (("reason", "48s"),),
            (EventType.SHARD_MODE_SET, 3): (("reason_more", "48s"),),
            (EventType.STARTED, 0): (("time_us", "q"), ("epoch", "q"), ("build_id", "q")),
            (EventType.TICKED, 0): (("time_us", "q"),),
            **RISK_EVENT_FIELDS,
        }
    )
)

_NUMPY = {"Q": "<u8", "q": "<i8", "H": "<u2", "B": "u1", "I": "<u4", "i": "<i4"} | {
    f"{size}s": f"S{size}" for size in (32, 36, 48)
}


def _struct(fields: tuple[tuple[str, str], ...]) -> struct.Struct:
    text = "<" + "".join(code for _, code in fields)
    return struct.Struct(f"{text}{STRIPE - struct.calcsize(text)}x")


def _dtype(fields: tuple[tuple[str, str], ...]) -> np.dtype[np.void]:
    names = [name for name, _ in fields]
    offsets = [
        struct.calcsize("<" + "".join(code for _, code in fields[:position]))
        for position in range(len(fields))
    ]
    formats = [_NUMPY[code] for _, code in fields]
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": STRIPE})


# Only there when they say something: the client text, the rarer terms, the trigger price, who
# and why.
OPTIONAL_PARTS: Final = frozenset(
    {
        (EventType.ORDER_ACCEPTED, 2),
        (EventType.ORDER_ACCEPTED, 3),
        (EventType.ORDER_AMENDED, 2),
        (EventType.PERPETUAL_STATE_SET, 1),
        (EventType.PERPETUAL_STATE_SET, 2),
        (EventType.PERPETUAL_STATE_SET, 3),
    }
)
TERMS_STRIPE: Final = struct.Struct("<qqqqq24s")  # the last 24 bytes are zero
NO_TERMS_STRIPE: Final = bytes(STRIPE)
MARKET_STRIPE: Final = _struct(MARKET_FIELDS)
FEES_STRIPE: Final = struct.Struct("<16i")  # maker and taker rate by tier
EVENT_HEAD_STRUCT: Final = struct.Struct("<" + "".join(code for _, code in EVENT_HEAD))
EVENT_STRUCTS: Final = MappingProxyType(
    {place: _struct((*EVENT_HEAD, *fields)) for place, fields in EVENT_FIELDS.items()}
)
EVENT_DTYPE: Final = _dtype((*EVENT_HEAD, *((f"w{lane}", "q") for lane in range(6))))
EVENT_PART_DTYPES: Final = MappingProxyType(
    {place: _dtype((*EVENT_HEAD, *fields)) for place, fields in EVENT_FIELDS.items()}
)


class WireFault(IntEnum):
    """What is wrong with bytes that are not ours."""

    BAD_LENGTH = 1
    BAD_VERSION = 2
    UNKNOWN_OPCODE = 3
    UNKNOWN_EVENT = 4
    BAD_PART = 5
    BAD_FIELD = 6


class WireError(ValueError):
    """Bytes that do not follow the table; `fault` names the kind, the text the place."""

    def __init__(self, fault: WireFault, text: str) -> None:
        super().__init__(f"{fault.name}: {text}")
        self.fault = fault


class SequenceError(RuntimeError):
    """A command is not the next one: a gap, a repeat, or time running backward."""


def order_flags(
    side: int,
    order_type: int,
    time_in_force: int,
    post_only: bool,
    self_trade: int,
    trigger_source: int = 0,
    reduce_only: bool = False,
    close_position: bool = False,
) -> int:
    """Return the flags word of an order."""
    rest = int(post_only) << 8 | self_trade << 9 | trigger_source << 12
    rest |= int(reduce_only) << 14 | int(close_position) << 15
    return side | order_type << 1 | time_in_force << 5 | rest


def order_words(flags: int) -> tuple[Side, OrderType, TimeInForce]:
    """Return side, type and time in force from a flags word; unknown numbers are `ValueError`."""
    return Side(flags & 1), OrderType(flags >> 1 & 15), TimeInForce(flags >> 5 & 7)


def may_rest(flags: int) -> bool:
    """Return whether an order's time in force lets what does not trade at once stand or wait."""
    return flags >> 5 & 7 in _RESTING
