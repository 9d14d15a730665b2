"""Words of an order: side, type, time in force, self-trade mode, state. Numbers are wire format."""

from __future__ import annotations

from enum import IntEnum


class Side(IntEnum):
    """Which way an order trades."""

    BUY = 0
    SELL = 1

    @property
    def opposite(self) -> Side:
        """Return the other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(IntEnum):
    """How an order is priced, and what it waits for.

    The types after MARKET wait outside the book for their trigger price; then they act as a
    limit order (those named so) or as a market order.
    """

    LIMIT = 0
    MARKET = 1
    STOP = 2
    STOP_LIMIT = 3
    TAKE_PROFIT = 4
    TAKE_PROFIT_LIMIT = 5
    TRAILING_STOP = 6

    @property
    def is_limit(self) -> bool:
        """Return whether the order has a limit price of its own."""
        return self in _LIMIT_TYPES

    @property
    def is_triggered(self) -> bool:
        """Return whether the order waits for a trigger price before it acts."""
        return self > OrderType.MARKET


_LIMIT_TYPES = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)


class TriggerSource(IntEnum):
    """Which price sets an order off."""

    LAST_PRICE = 0
    MARK_PRICE = 1
    INDEX_PRICE = 2

    @property
    def word(self) -> str:
        """Return what traders call it: last, mark or index."""
        return self.name.removesuffix("_PRICE").lower()


class ListKind(IntEnum):
    """How the orders of a list depend on each other."""

    OCO = 0  # one cancels the other
    BRACKET = 1  # an entry, and what closes the position that it opens


class TimeInForce(IntEnum):
    """How long an order's remainder lives."""

    GTC = 0
    IOC = 1
    FOK = 2
    GTD = 3


class SelfTrade(IntEnum):
    """What happens when an order would meet one of the same account."""

    EXPIRE_MAKER = 0
    EXPIRE_TAKER = 1
    EXPIRE_BOTH = 2
    DECREMENT = 3


class OrderStatus(IntEnum):
    """Where an order is in its life; it never goes backwards."""

    OPEN = 0
    FILLED = 1
    CANCELLED = 2
    EXPIRED = 3
    REJECTED = 4


class CloseReason(IntEnum):
    """Why an accepted order left the book."""

    FILLED = 0
    CANCELLED_BY_USER = 1
    IOC_REMAINDER = 2
    SELF_TRADE = 3
    CANCELLED_BY_ADMIN = 4
    BAND_REACHED = 5
    SWEEP_LIMIT = 6
    TIME_EXPIRED = 7
    DEAD_MANS_SWITCH = 8
    REFUSED_AT_TRIGGER = 9
    ORDER_LIST_DONE = 10  # the other order of its list traded, was set off or ended
    CANCELLED_BY_LIQUIDATION = 20  # its scope is liquidated, or its owner deleveraged
    NOTHING_TO_REDUCE = 21  # a reduce-only order beyond what its position became
    CANCELLED_BY_SETTLEMENT = 22  # its market ends
    INSUFFICIENT_MARGIN = 23  # trading it would leave its owner with less than nothing

    @property
    def is_cancel(self) -> bool:
        """Return whether somebody wanted the order to go; its list goes for the same reason."""
        return self in (
            CloseReason.CANCELLED_BY_USER,
            CloseReason.CANCELLED_BY_ADMIN,
            CloseReason.DEAD_MANS_SWITCH,
            CloseReason.CANCELLED_BY_LIQUIDATION,
            CloseReason.CANCELLED_BY_SETTLEMENT,
        )

    @property
    def status(self) -> OrderStatus:
        """Return the final status that this reason leads to."""
        if self is CloseReason.FILLED:
            return OrderStatus.FILLED
        return OrderStatus.CANCELLED if self.is_cancel else OrderStatus.EXPIRED


class SymbolState(IntEnum):
    """Whether a market takes orders."""

    OPEN = 0
    CANCEL_ONLY = 1
    HALTED = 2
    DELISTED = 3  # for ever


class ShardMode(IntEnum):
    """Whether a whole shard takes orders."""

    NORMAL = 0
    CANCEL_ONLY = 1
    HALTED = 2


class StateCause(IntEnum):
    """What a market's state or a shard's mode was set for."""

    NONE = 0  # never set
    SETTLEMENT_FAILED = 1
    SETTLEMENT_BEHIND = 2
    OPERATOR = 3
