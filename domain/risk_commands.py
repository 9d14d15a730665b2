"""Commands about perpetuals: markets, marks, margin, funding, liquidation, the insurance fund.

A *scope* is what one liquidation concerns: `symbol_id` 0 is an account's cross margin with all its
positions in it, else the isolated position in that market. Its version is the sequence of the last
command that changed its cash, its positions or whether it is frozen. A command that names an
`expected_scope_version` is refused with SCOPE_CHANGED, and told the scope as it is, when another
one came between. Whatever a step of a liquidation is refused for, a frozen scope is told as it is.
Every `key` is a 128-bit id, not 0, under which the command takes effect once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from domain.market_rules import MarketRules
from domain.opcode import Opcode
from domain.perpetual_terms import PerpetualTerms

FUND_ACCOUNT = (1 << 48) - 1
"""The account that is a shard's insurance fund; no customer has this id."""


class MarginMode(IntEnum):
    """What backs a position: the account's whole cash, or cash of its own."""

    CROSS = 0
    ISOLATED = 1


class Trigger(IntEnum):
    """What an operator or the risk monitor may do to a perpetual market's state."""

    SHORTFALL = 4
    REDUCE = 5
    HALT = 6
    RESUME = 7
    SETTLE = 8


@dataclass(frozen=True, slots=True)
class ListPerpetual:
    """Open a perpetual market: `rules` as of a spot market, and its `terms`. Once per `key`.

    Its lots are of the base asset, which is never moved; the quote asset is collateral. It begins
    GUARDED and takes no order before its first mark. `rules.band_ppm` is around the mark and below
    100 %; `rules.max_position_lots` (0: none) bounds a position with the orders of its side.
    """

    opcode: ClassVar[Opcode] = Opcode.LIST_PERPETUAL
    rules: MarketRules
    terms: PerpetualTerms
    key: int = 0

    @property
    def symbol_id(self) -> int:
        """Return the market that it opens."""
        return self.rules.symbol_id


@dataclass(frozen=True, slots=True)
class SetRiskParameters:
    """Give a perpetual market other terms from this sequence on. Once per `key` (0: none)."""

    opcode: ClassVar[Opcode] = Opcode.SET_RISK_PARAMETERS
    symbol_id: int
    terms: PerpetualTerms
    key: int = 0


@dataclass(frozen=True, slots=True)
class SetLeverage:
    """Choose the leverage of a position: its initial margin is at least 1 / leverage. 1 at first.

    Lowering it is refused when the margin does not cover what there is already.
    """

    opcode: ClassVar[Opcode] = Opcode.SET_LEVERAGE
    account_id: int
    symbol_id: int
    leverage: int


@dataclass(frozen=True, slots=True)
class SetMarginMode:
    """Choose what backs a position, while there is none and no open order in the market.

    What is left of an isolated position's cash goes back to the account's.
    """

    opcode: ClassVar[Opcode] = Opcode.SET_MARGIN_MODE
    account_id: int
    symbol_id: int
    mode: MarginMode


@dataclass(frozen=True, slots=True)
class MoveMargin:
    """Move cash into (> 0) or out of (< 0) an isolated position. Once per `key`.

    Both ways what stays behind must cover its margin, as with any other withdrawal.
    """

    opcode: ClassVar[Opcode] = Opcode.MOVE_MARGIN
    key: int
    account_id: int
    symbol_id: int
    amount_units: int
    created_at_us: int


@dataclass(frozen=True, slots=True)
class SetIndex:
    """What the index sources of a market say: their prices in ticks and when, by place.

    A price of 0 says nothing. The engine decides which count (`domain.index_price`), and computes
    index and mark.
    """

    opcode: ClassVar[Opcode] = Opcode.SET_INDEX
    symbol_id: int
    prices_ticks: tuple[int, ...]
    times_us: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetPerpetualState:
    """Move a perpetual market between its states (`domain.perpetual_state`); who and why."""

    opcode: ClassVar[Opcode] = Opcode.SET_PERPETUAL_STATE
    symbol_id: int
    trigger: Trigger
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SettleFunding:
    """Pay the funding of the instant `funding_time_us`, all positions at once. Once per `key`.

    The instant is a whole number of intervals since 1970, past, and later than the last one.
    """

    opcode: ClassVar[Opcode] = Opcode.SETTLE_FUNDING
    key: int
    symbol_id: int
    funding_time_us: int


@dataclass(frozen=True, slots=True)
class Freeze:
    """Begin a liquidation of a scope below its maintenance margin: no orders, nothing leaves.

    Its open orders are cancelled. `key` is the liquidation's id. Once per `key`.
    """

    opcode: ClassVar[Opcode] = Opcode.FREEZE
    key: int
    account_id: int
    symbol_id: int


@dataclass(frozen=True, slots=True)
class Unfreeze:
    """End a liquidation of a scope that is flat, or above MM and buffer. Once per `key`."""

    opcode: ClassVar[Opcode] = Opcode.UNFREEZE
    key: int
    account_id: int
    symbol_id: int
    expected_scope_version: int


@dataclass(frozen=True, slots=True)
class Liquidate:
    """Close up to `lots` of a frozen scope's position in the book, at once, within the band.

    Never worse than `limit_ticks` (0: none) nor, unless `fund_may_pay`, than the bankruptcy price.
    Each fill pays what it brought above the bankruptcy quote, up to the fee, to the fund; with
    `fund_may_pay` the fund pays what is missing, as long as it can.
    """

    opcode: ClassVar[Opcode] = Opcode.LIQUIDATE
    key: int
    account_id: int
    symbol_id: int
    lots: int
    limit_ticks: int
    expected_scope_version: int
    fund_may_pay: bool = False


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Let the fund buy up to `lots` of a frozen scope's position at the bankruptcy quote."""

    opcode: ClassVar[Opcode] = Opcode.TAKE_OVER
    key: int
    account_id: int
    symbol_id: int
    lots: int
    expected_scope_version: int


@dataclass(frozen=True, slots=True)
class Deleverage:
    """Close `lots` of a frozen scope's position against a counterparty at the bankruptcy quote."""

    opcode: ClassVar[Opcode] = Opcode.DELEVERAGE
    key: int
    account_id: int
    symbol_id: int
    counterparty_id: int
    lots: int
    expected_scope_version: int


@dataclass(frozen=True, slots=True)
class Unwind:
    """Close up to `lots` of the fund's position in the book, at once, within the band."""

    opcode: ClassVar[Opcode] = Opcode.UNWIND
    key: int
    symbol_id: int
    lots: int
    limit_ticks: int


@dataclass(frozen=True, slots=True)
class TopUpFund:
    """Add `amount_units` to the fund's cash, once per `key`; as `Credit` otherwise."""

    opcode: ClassVar[Opcode] = Opcode.TOP_UP_FUND
    key: int
    asset_id: int
    amount_units: int
    created_at_us: int


@dataclass(frozen=True, slots=True)
class SweepDust:
    """Move all rounding dust of an asset into the fund. Once per `key`."""

    opcode: ClassVar[Opcode] = Opcode.SWEEP_DUST
    key: int
    asset_id: int
    created_at_us: int


@dataclass(frozen=True, slots=True)
class SettleMarket:
    """Close every position of a market in SETTLEMENT at its final index. Once per `key`.

    Scopes that are insolvent there are closed first, at their bankruptcy quote, against the
    others in the order of auto-deleveraging.
    """

    opcode: ClassVar[Opcode] = Opcode.SETTLE_MARKET
    key: int
    symbol_id: int


RiskCommand = (
    ListPerpetual
    | SetRiskParameters
    | SetLeverage
    | SetMarginMode
    | MoveMargin
    | SetIndex
    | SetPerpetualState
    | SettleFunding
    | Freeze
    | Unfreeze
    | Liquidate
    | TakeOver
    | Deleverage
    | Unwind
    | TopUpFund
    | SweepDust
    | SettleMarket
)
