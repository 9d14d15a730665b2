"""Events: what a command did. They carry exact integer deltas, so nobody computes them again.

An event's identity is (sequence, index): `sequence` is its command's, `index` counts within it.
Every command has exactly one *outcome* event, index 0, which also carries the command's time;
what follows (trades, rests, closes) shares it. Balances and amounts are engine units, fees are
in the quote asset. The events alone rebuild the L3 book and the trading balances.
"""

from __future__ import annotations

from domain.event_type import EventType
from domain.order_events import (
    CancelAccepted,
    DeadMansSwitchFired,
    DeadMansSwitchSet,
    OrderAccepted,
    OrderAmended,
    OrderArmed,
    OrderClosed,
    OrderDuplicate,
    OrderRefilled,
    OrderRested,
    OrderTriggered,
    SelfTradePrevented,
    Trade,
)
from domain.risk_events import (
    Deleveraged,
    DustSwept,
    FundingPaid,
    FundingSettled,
    FundToppedUp,
    IndexSet,
    LeverageSet,
    LiquidationPlaced,
    MarginModeSet,
    MarginMoved,
    MarketSettled,
    PerpetualStateSet,
    PerpetualTrade,
    PositionSettled,
    RiskEvent,
    RiskParametersSet,
    ScopeFrozen,
    ScopeState,
    ScopeUnfrozen,
    TakenOver,
    UnwindPlaced,
)
from domain.shard_events import (
    AccountTierSet,
    CommandRejected,
    Credited,
    Debited,
    EngineStarted,
    KeyDuplicate,
    ParametersSet,
    ShardModeSet,
    SymbolDelisted,
    SymbolListed,
    SymbolStateSet,
    Ticked,
)

__all__ = [
    "AccountTierSet",
    "CancelAccepted",
    "CommandRejected",
    "Credited",
    "DeadMansSwitchFired",
    "DeadMansSwitchSet",
    "Debited",
    "Deleveraged",
    "DustSwept",
    "EngineStarted",
    "Event",
    "EventType",
    "FundToppedUp",
    "FundingPaid",
    "FundingSettled",
    "IndexSet",
    "KeyDuplicate",
    "LeverageSet",
    "LiquidationPlaced",
    "MarginModeSet",
    "MarginMoved",
    "MarketSettled",
    "OrderAccepted",
    "OrderAmended",
    "OrderArmed",
    "OrderClosed",
    "OrderDuplicate",
    "OrderRefilled",
    "OrderRested",
    "OrderTriggered",
    "ParametersSet",
    "PerpetualStateSet",
    "PerpetualTrade",
    "PositionSettled",
    "RiskEvent",
    "RiskParametersSet",
    "ScopeFrozen",
    "ScopeState",
    "ScopeUnfrozen",
    "SelfTradePrevented",
    "ShardModeSet",
    "SymbolDelisted",
    "SymbolListed",
    "SymbolStateSet",
    "TakenOver",
    "Ticked",
    "Trade",
    "UnwindPlaced",
]

Event = (
    OrderAccepted
    | OrderDuplicate
    | CancelAccepted
    | OrderAmended
    | DeadMansSwitchSet
    | DeadMansSwitchFired
    | CommandRejected
    | KeyDuplicate
    | Trade
    | SelfTradePrevented
    | OrderRested
    | OrderRefilled
    | OrderTriggered
    | OrderArmed
    | OrderClosed
    | Credited
    | Debited
    | SymbolListed
    | SymbolStateSet
    | SymbolDelisted
    | ShardModeSet
    | ParametersSet
    | AccountTierSet
    | EngineStarted
    | Ticked
    | RiskEvent
)
