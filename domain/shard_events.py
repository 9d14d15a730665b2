"""Events about money, keys, markets and the shard itself, and the refusal of any command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from domain.commands import Opcode
from domain.errors import RejectReason
from domain.event_type import EventType
from domain.fees import FeeTable
from domain.order import ShardMode, StateCause, SymbolState


@dataclass(frozen=True, slots=True)
class CommandRejected:
    """Outcome: the command was refused and changed nothing but the refusal's own record.

    `key` is the client key of an order command (of a list: its first order's) or the key of a money
    command; `list_position` is which order of a list is refused, from 1, and 0 the whole.
    """

    event_type: ClassVar[EventType] = EventType.COMMAND_REJECTED
    sequence: int
    index: int
    time_us: int
    opcode: Opcode
    reason: RejectReason
    account_id: int
    key: int
    symbol_id: int
    list_position: int = 0


@dataclass(frozen=True, slots=True)
class KeyDuplicate:
    """Outcome: this command key was used before; nothing happened. The first outcome stands.

    `first_reason` is NONE when the first use took effect at `first_sequence`; `same_body` is
    False when the repeat asked for something else (a conflict in the caller).
    """

    event_type: ClassVar[EventType] = EventType.KEY_DUPLICATE
    sequence: int
    index: int
    time_us: int
    opcode: Opcode
    key: int
    account_id: int
    first_sequence: int
    first_reason: RejectReason
    same_body: bool


@dataclass(frozen=True, slots=True)
class Credited:
    """Outcome: the account's trading balance grew by `amount_units`."""

    event_type: ClassVar[EventType] = EventType.CREDITED
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    asset_id: int
    amount_units: int


@dataclass(frozen=True, slots=True)
class Debited:
    """Outcome: the account's trading balance shrank by `amount_units`."""

    event_type: ClassVar[EventType] = EventType.DEBITED
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    asset_id: int
    amount_units: int


@dataclass(frozen=True, slots=True)
class SymbolListed:
    """Outcome: a market exists from here on; the fields are `ListSymbol`'s."""

    event_type: ClassVar[EventType] = EventType.SYMBOL_LISTED
    sequence: int
    index: int
    time_us: int
    symbol_id: int
    base_asset_id: int
    quote_asset_id: int
    base_units_per_lot: int
    quote_units_per_tick_lot: int
    fees: FeeTable
    max_taker_fee_ppm: int
    band_ppm: int
    listing_price_ticks: int
    max_order_lots: int
    max_open_orders: int
    max_position_lots: int


@dataclass(frozen=True, slots=True)
class ParametersSet:
    """Outcome: a market's parameters are these from here on, and what they were until now."""

    event_type: ClassVar[EventType] = EventType.PARAMETERS_SET
    sequence: int
    index: int
    time_us: int
    symbol_id: int
    fees: FeeTable
    band_ppm: int
    max_order_lots: int
    max_open_orders: int
    max_position_lots: int
    previous_fees: FeeTable
    previous_band_ppm: int
    previous_max_order_lots: int
    previous_max_open_orders: int
    previous_max_position_lots: int


@dataclass(frozen=True, slots=True)
class AccountTierSet:
    """Outcome: the account pays the fees of `tier` from here on."""

    event_type: ClassVar[EventType] = EventType.ACCOUNT_TIER_SET
    sequence: int
    index: int
    time_us: int
    account_id: int
    tier: int
    previous_tier: int


@dataclass(frozen=True, slots=True)
class SymbolStateSet:
    """Outcome: a market's state is now `state`."""

    event_type: ClassVar[EventType] = EventType.SYMBOL_STATE_SET
    sequence: int
    index: int
    time_us: int
    symbol_id: int
    state: SymbolState
    cause: StateCause
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class SymbolDelisted:
    """Outcome: a market takes no more orders, for ever; the closes of its orders follow.

    `open_orders` are those that are left for the next command.
    """

    event_type: ClassVar[EventType] = EventType.SYMBOL_DELISTED
    sequence: int
    index: int
    time_us: int
    symbol_id: int
    closed_count: int
    open_orders: int
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShardModeSet:
    """Outcome: the shard's mode is now `mode`."""

    event_type: ClassVar[EventType] = EventType.SHARD_MODE_SET
    sequence: int
    index: int
    time_us: int
    mode: ShardMode
    cause: StateCause
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class EngineStarted:
    """Outcome of `Started`."""

    event_type: ClassVar[EventType] = EventType.STARTED
    sequence: int
    index: int
    time_us: int
    epoch: int
    build_id: int


@dataclass(frozen=True, slots=True)
class Ticked:
    """Outcome of `Tick`."""

    event_type: ClassVar[EventType] = EventType.TICKED
    sequence: int
    index: int
    time_us: int
