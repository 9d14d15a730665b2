"""Commands: everything that can change the engine's state. Plain values; ids and time come in.

A command has no clock and no randomness: the sequencer stamps `sequence` and `time_us` when it
journals the command (`matching/codec.py` has the byte table).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from domain.market_rules import MarketRules
from domain.opcode import Opcode
from domain.order import (
    ListKind,
    OrderType,
    SelfTrade,
    ShardMode,
    Side,
    StateCause,
    SymbolState,
    TimeInForce,
    TriggerSource,
)
from domain.quick_values import quickly_made
from domain.risk_commands import RiskCommand

__all__ = [
    "AmendOrder",
    "CancelAll",
    "CancelOrder",
    "Command",
    "Credit",
    "Debit",
    "DelistSymbol",
    "ListSymbol",
    "MarketRules",
    "Opcode",
    "PlaceOrder",
    "PlaceOrderList",
    "SetAccountTier",
    "SetDeadMansSwitch",
    "SetParameters",
    "SetShardMode",
    "SetSymbolState",
    "Started",
    "Tick",
]


@quickly_made
@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Place an order. (account_id, client_key) is its identity; `client_text` is echoed as given.

    `client_key` is a non-zero 128-bit integer, `domain.order_id.client_key(client_text)`.
    A market order has `price_ticks` 0 and trades up to the price band. A market buy may name
    `quote_budget_units` instead of a quantity (0): it spends at most that, the fee included.
    A GTD order leaves the book at `expires_at_us` of engine time. With `display_lots` a limit
    order is an iceberg: the book shows that many lots at a time and the rest stays hidden.

    The types that wait for a trigger name `trigger_price_ticks`, a trailing stop instead how far
    it follows the best price since: `trailing_offset_ticks`. Those without a limit wait as GTC or
    GTD and act as a market order that takes what there is (IOC).

    On a perpetual, `reduce_only` trades no more than there is to close when it acts, and rests
    only as long as it can close; `close_position` names no quantity (0) and closes all there is:
    a market order, or a stop or take-profit that acts as one.
    """

    opcode: ClassVar[Opcode] = Opcode.PLACE_ORDER
    account_id: int
    client_key: int
    symbol_id: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price_ticks: int
    quantity_lots: int
    post_only: bool = False
    self_trade: SelfTrade = SelfTrade.EXPIRE_MAKER
    client_text: str = ""
    quote_budget_units: int = 0
    expires_at_us: int = 0
    display_lots: int = 0
    trigger_price_ticks: int = 0
    trailing_offset_ticks: int = 0
    trigger_source: TriggerSource = TriggerSource.LAST_PRICE
    reduce_only: bool = False
    close_position: bool = False


@dataclass(frozen=True, slots=True)
class PlaceOrderList:
    """Place several orders that depend on each other, all of them or none.

    An OCO is two orders of one account, market, side and quantity, under two client keys: first
    the better price, a post-only limit order or a take-profit; then the worse, a stop, stop-limit
    or trailing stop. They hold what the larger of them needs. Whatever happens to one, a trade, a
    trigger or an end, closes the other.

    A bracket is an entry, a limit or market order of a quantity, and one or both orders of an OCO
    of the opposite side, its children. They are pending and hold nothing until the entry ends;
    then they are for what it has filled, or close with it if that is nothing.
    """

    opcode: ClassVar[Opcode] = Opcode.PLACE_ORDER_LIST
    kind: ListKind
    orders: tuple[PlaceOrder, ...]

    @property
    def account_id(self) -> int:
        """Return whose orders these are."""
        return self.orders[0].account_id

    @property
    def symbol_id(self) -> int:
        """Return the market of the orders."""
        return self.orders[0].symbol_id


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel one open order of the account, named by `order_id` or, when that is 0, by key.

    The other one of its OCO goes with it, and the children of a bracket's entry that has filled
    nothing. A child that is still pending goes alone.
    """

    opcode: ClassVar[Opcode] = Opcode.CANCEL_ORDER
    account_id: int
    symbol_id: int
    order_id: int = 0
    client_key: int = 0


@dataclass(frozen=True, slots=True)
class CancelAll:
    """Cancel the account's open orders, of one symbol or (`symbol_id` 0) of all; in id order.

    `side` restricts it to buys or to sells; None means both.
    """

    opcode: ClassVar[Opcode] = Opcode.CANCEL_ALL
    account_id: int
    symbol_id: int = 0
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class AmendOrder:
    """Change price, quantity or trigger price of one open order; 0 leaves that one as it is.

    The order is named by `order_id` or, when that is 0, by its own client key, and keeps both.
    `quantity_lots` is the whole quantity, what is filled included. The order keeps its place in
    the queue only when its price stays and its quantity does not grow; otherwise it acts like a
    new order, which may trade at once. A trigger price can be changed as long as it waits. An
    order whose OCO still has another one stays as it is, and so does a pending child of a bracket:
    ORDER_IN_LIST. A bracket's entry may change, its price between its children's.
    """

    opcode: ClassVar[Opcode] = Opcode.AMEND_ORDER
    account_id: int
    symbol_id: int
    order_id: int = 0
    client_key: int = 0
    price_ticks: int = 0
    quantity_lots: int = 0
    trigger_price_ticks: int = 0


@dataclass(frozen=True, slots=True)
class SetDeadMansSwitch:
    """Cancel all orders of the account unless this is sent again within `timeout_us`.

    It may be at most a day; 0 disarms. The time is engine time, so it runs on over a restart.
    """

    opcode: ClassVar[Opcode] = Opcode.SET_DEAD_MANS_SWITCH
    account_id: int
    timeout_us: int


@dataclass(frozen=True, slots=True)
class Credit:
    """Add `amount_units` (engine units) to the account's trading balance, once per `key`.

    `key` is the transfer's 128-bit id; `created_at_us` the immutable time of its business row:
    older than 24 h of engine time is refused with KEY_EXPIRED.
    """

    opcode: ClassVar[Opcode] = Opcode.CREDIT
    key: int
    account_id: int
    asset_id: int
    amount_units: int
    created_at_us: int


@dataclass(frozen=True, slots=True)
class Debit:
    """Take `amount_units` of free balance, once per `key`; the counterpart of `Credit`."""

    opcode: ClassVar[Opcode] = Opcode.DEBIT
    key: int
    account_id: int
    asset_id: int
    amount_units: int
    created_at_us: int


@dataclass(frozen=True, slots=True)
class ListSymbol(MarketRules):
    """Open a spot market. With a `key`, once per key, as every command that has one."""

    opcode: ClassVar[Opcode] = Opcode.LIST_SYMBOL
    key: int = 0


@dataclass(frozen=True, slots=True)
class SetParameters(MarketRules):
    """Give a listed market new rules from this sequence on; resting orders stay as they are.

    What resting orders and balances are counted in cannot change: assets, grid, listing price and
    the highest taker fee must be the listing's.
    """

    opcode: ClassVar[Opcode] = Opcode.SET_PARAMETERS
    key: int = 0


@dataclass(frozen=True, slots=True)
class SetAccountTier:
    """Let the account pay the fees of `tier` from this sequence on, in every market."""

    opcode: ClassVar[Opcode] = Opcode.SET_ACCOUNT_TIER
    account_id: int
    tier: int
    key: int = 0


@dataclass(frozen=True, slots=True)
class DelistSymbol:
    """Close a market for ever and cancel its open orders, the oldest `MAX_CANCELS` of them.

    Nothing opens it again; balances stay. While orders are left, the command is to be repeated.
    Who and why as in `SetShardMode`; the cause is always OPERATOR.
    """

    opcode: ClassVar[Opcode] = Opcode.DELIST_SYMBOL
    symbol_id: int
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SetSymbolState:
    """Open, restrict or halt one market; who and why as in `SetShardMode`."""

    opcode: ClassVar[Opcode] = Opcode.SET_SYMBOL_STATE
    symbol_id: int
    state: SymbolState
    cause: StateCause = StateCause.OPERATOR
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SetShardMode:
    """Open, restrict or halt the whole shard.

    `actor` (who, at most 32 characters) and `reason` (why, at most 96) are printable ASCII; they
    stay in the journal and the state. With the cause SETTLEMENT_BEHIND the command changes only a
    mode that is NORMAL or has that cause itself, and is refused with SHARD_MODE_HELD otherwise.
    """

    opcode: ClassVar[Opcode] = Opcode.SET_SHARD_MODE
    mode: ShardMode
    cause: StateCause = StateCause.OPERATOR
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """The sequencer's first record after each start: who writes from here on."""

    opcode: ClassVar[Opcode] = Opcode.STARTED
    epoch: int
    build_id: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes: added by the sequencer after 100 ms without another command, or a busy second.

    What follows from time alone, as a market whose index is silent, so waits for no pause in the
    trading.
    """

    opcode: ClassVar[Opcode] = Opcode.TICK


Command = (
    PlaceOrder
    | PlaceOrderList
    | CancelOrder
    | CancelAll
    | AmendOrder
    | SetDeadMansSwitch
    | Credit
    | Debit
    | ListSymbol
    | SetSymbolState
    | SetShardMode
    | SetParameters
    | SetAccountTier
    | DelistSymbol
    | Started
    | Tick
    | RiskCommand
)
