"""Perpetual markets: positions, margin, funding, the insurance fund, liquidations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.schemas.common import DecimalText, Input, Output, SymbolText
from domain.money import INT64_MAX
from domain.order_id import CLIENT_ORDER_ID_PATTERN

ModeText = Literal["cross", "isolated"]
EventText = Literal["funding", "takeover", "deleveraging", "settlement"]
PhaseText = Literal["open", "guarded", "reduce_only", "halted", "settlement"]


class BracketOut(Output):
    """A margin bracket: from this notional on, these rates of it."""

    floor: str
    maintenance_ppm: int
    initial_ppm: int


class PerpetualTermsOut(Output):
    """The terms of a perpetual market; money in the quote asset, rates in parts per million.

    An account's position and orders of one side are worth at most `largest_notional`. Every
    `funding_interval_seconds`, counted from 1970, a long pays notional x rate (a short receives
    it), at most `funding_cap_ppm`.
    """

    brackets: list[BracketOut]
    largest_notional: str
    max_leverage: int
    liquidation_fee_ppm: int
    exit_buffer_ppm: int
    funding_interval_seconds: int
    interest_ppm: int
    damper_ppm: int
    funding_cap_ppm: int
    index_min_sources: int
    index_max_age_ms: int


class PositionOut(Output):
    """Your position in a perpetual market, valued at its mark.

    `quantity` is above 0 for a long and below for a short. `margin` is an isolated position's own
    cash; `margin_ratio_ppm` = maintenance margin / equity of what backs it, at 1000000 and above
    it is liquidated (null: no equity); at 800000 and above it has a margin call.
    `liquidation_price` is the last mark at which it is safe, `bankruptcy_price` the price at which
    closing all of it would leave nothing of its share of equity. `realised_profit` is what closing
    has brought in this market, fees and funding aside, as settled; null: not known now.
    `adl_lights`, 1 to 5, say how near it is to being deleveraged; null: not known now.
    """

    symbol: str
    quantity: str
    mode: ModeText
    leverage: int
    entry_price: str | None
    mark_price: str | None
    mark_is_fresh: bool
    notional: str
    unrealised_profit: str
    realised_profit: str | None
    initial_margin: str
    maintenance_margin: str
    margin: str | None
    margin_ratio_ppm: int | None
    liquidation_price: str | None
    bankruptcy_price: str | None
    adl_lights: int | None
    margin_call: bool
    liquidating: bool
    sequence: int


class CrossMarginOut(Output):
    """What backs your cross positions on a shard: cash, and what margin leaves of it."""

    shard: int
    asset: str
    cash: str
    equity: str
    maintenance_margin: str
    required_margin: str = Field(description="What equity must cover before a new order.")
    available: str = Field(
        description="What new orders on perpetuals may use: equity less `required_margin` and what "
        "open spot orders hold, at least 0."
    )
    withdrawable: str = Field(
        description="What may leave now, and what spot orders may take: at most the cash, and what "
        "equity leaves beyond margin and transfer floor, less what open spot orders hold."
    )
    margin_ratio_ppm: int | None
    margin_call: bool = Field(
        description="Whether equity is below 1.25 x maintenance margin: add cash, or close."
    )
    liquidating: bool
    sequence: int


class PositionsOut(Output):
    """Your positions, and your choices for markets without one; and what backs them."""

    positions: list[PositionOut]
    cross: list[CrossMarginOut]


class LeverageIn(Input):
    """Choose the leverage of a market: your initial margin there is at least 1 / leverage."""

    symbol: SymbolText
    leverage: int = Field(ge=1, le=1_000_000)


class LeverageOut(Output):
    """The leverage from this sequence on."""

    symbol: str
    leverage: int
    previous_leverage: int
    sequence: int
    time_us: int


class MarginModeIn(Input):
    """Choose what backs a market's position, while there is none and no open order."""

    symbol: SymbolText
    mode: ModeText


class MarginModeOut(Output):
    """The mode from this sequence on; `released` went back to the account's cash."""

    symbol: str
    mode: ModeText
    released: str
    sequence: int
    time_us: int


class MarginMoveIn(Input):
    """Move cash into an isolated position, or (`out`) out of it, once per `move_id`."""

    symbol: SymbolText
    direction: Literal["in", "out"]
    amount: DecimalText
    move_id: Annotated[
        str,
        StringConstraints(strict=True, pattern=CLIENT_ORDER_ID_PATTERN),
        Field(description="Your name for the move: repeating it moves nothing more."),
    ]
    created_at_us: int = Field(
        ge=1, le=INT64_MAX, description="When you made it; repeat the same one. At most a day ago."
    )


class MarginMoveOut(Output):
    """What was moved, and the isolated position's cash after it (null for a repeat)."""

    symbol: str
    margin: str | None
    sequence: int
    duplicate: bool = False


class FundingOut(Output):
    """A perpetual market's mark and funding now; rates in parts per million of notional.

    `last_rate_ppm` is what was paid at `last_funding_us` (0: never yet); the next funding is in
    `seconds_left`. An index or mark of null: there was none yet.
    """

    symbol: str
    state: PhaseText
    index_price: str | None
    mark_price: str | None
    mark_is_fresh: bool
    sources: int
    open_interest: str
    last_rate_ppm: int
    last_funding_us: int
    next_funding_us: int
    seconds_left: int
    interval_seconds: int
    sequence: int


class PastFundingOut(Output):
    """A funding that was paid, by so many `positions`."""

    funding_time_us: int
    rate_ppm: int
    premium_ppm: int
    mark_price: str
    positions: int
    sequence: int


class FundingHistoryOut(Output):
    """A market's fundings, newest first, and how its funding stands."""

    now: FundingOut
    history: list[PastFundingOut]
    next: str | None = None


class FundPositionOut(Output):
    """What the insurance fund has taken over in a market and not sold yet."""

    symbol: str
    quantity: str
    notional: str
    unrealised_profit: str


class FundOut(Output):
    """A shard's insurance fund: its cash, and its positions."""

    shard: int
    asset: str
    cash: str
    equity: str
    positions: list[FundPositionOut]
    sequence: int


class InsuranceOut(Output):
    """The insurance fund of every shard that has a perpetual."""

    funds: list[FundOut]


class LiquidationOut(Output):
    """A step of somebody's liquidation, as everybody sees it.

    `how`: `book` a fill in the book, `takeover` by the insurance fund, `deleveraged` against
    another position. `side` is that of the position that was closed: `long` or `short`.
    """

    how: Literal["book", "takeover", "deleveraged"]
    side: Literal["long", "short"]
    quantity: str
    price: str
    time_us: int
    sequence: int


class LiquidationsOut(Output):
    """The newest steps of liquidations, newest first."""

    symbol: str
    liquidations: list[LiquidationOut]


class PositionEventOut(Output):
    """Something that happened to your position beside its fills.

    `amount` is what you received (negative: paid): the funding, or the profit that closing made.
    `quantity` is your position after it; of a funding the one that it was paid for. `role` of a
    `takeover` or `deleveraging`: `liquidated`, or the `counterparty` of somebody's liquidation.
    """

    symbol: str
    kind: EventText
    role: Literal["liquidated", "counterparty"] | None
    amount: str
    asset: str
    quantity: str
    funding_rate_ppm: int | None
    time_us: int
    sequence: int


class PositionHistoryOut(Output):
    """What happened to your positions, newest first; `next` continues."""

    events: list[PositionEventOut]
    next: str | None = None


class FundChangeOut(Output):
    """What a booking of the ledger made of the fund's cash; `kind` is the booking's."""

    change: str
    cash: str
    kind: str
    time_us: int


class FundHistoryOut(Output):
    """Changes of a shard's insurance fund, newest first; `next` continues."""

    shard: int
    asset: str
    changes: list[FundChangeOut]
    next: str | None = None


class MarginCallOut(Output):
    """A warning that was told before a liquidation; `symbol` null: of your cross margin.

    Equity and margin are those of its time, `sequence` is the engine's.
    """

    shard: int
    symbol: str | None
    asset: str
    equity: str
    maintenance_margin: str
    margin_ratio_ppm: int | None
    time_us: int
    sequence: int


class MarginCallsOut(Output):
    """Your margin calls, newest first; `next` continues."""

    margin_calls: list[MarginCallOut]
    next: str | None = None
