"""What a liquidation does next, from how things are now: never from what the last step expected.

not frozen                              nothing: it is over
flat, or equity >= MM + buffer          release
a mark stale, a market halted           wait
equity < 0, or sliced in vain           takeover; what the fund cannot take: auto-deleveraging
slices or time used up                  pause, then a new round: "continue later"
else                                    reduce by a slice
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.insurance import is_taken_over
from domain.liquidation import (
    bankruptcy_quote_units,
    limit_price_ticks,
    partial_lots,
    reduction_order,
    slice_lots,
)
from domain.margin import Exposure, Scope, margin_shortage_units
from domain.money import ceil_ppm
from domain.order import Side
from domain.order_guards import PriceBand, liquidation_limit_ticks
from domain.perpetual_state import Liquidations, PerpetualState, liquidations_in
from domain.perpetual_terms import PerpetualTerms
from domain.risk_picture import FrozenScope, RiskPicture, ScopeKey


def command_key(*parts: object) -> int:
    """Return the 128-bit key of a step, never 0: a hash of its parts joined by colons.

    The parts are those of the design: `liq`, `take`, `adl`, `fund`, then ids and numbers.
    """
    text = ":".join(map(str, parts))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest, "little") | 1


def freeze_key(shard: int, scope: ScopeKey, sequence: int) -> int:
    """Return a fresh liquidation's id: of a scope that was found breached at a sequence.

    Whoever looks at the same sequence again, after a crash, asks for the same liquidation.
    """
    return command_key("freeze", shard, scope.account_id, scope.symbol_id, sequence)


def scope_name(shard: int, scope: ScopeKey) -> str:
    """Return a scope's name in ids: shard and account, and the market of an isolated position."""
    name = f"{shard}-{scope.account_id}"
    return f"{name}-{scope.symbol_id}" if scope.symbol_id else name


class StepKind(StrEnum):
    """What a step does."""

    REDUCE = "reduce"
    TAKE_OVER = "take over"
    DELEVERAGE = "deleverage"
    RELEASE = "release"
    WAIT = "wait"
    PAUSE = "pause"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class MarketView:
    """What a plan needs of one market."""

    state: PerpetualState
    mark_is_fresh: bool
    band: PriceBand
    terms: PerpetualTerms


@dataclass(frozen=True, slots=True)
class Situation:
    """A scope and all that decides about it, at one sequence; `frozen` None: it is not."""

    sequence: int
    version: int
    frozen: FrozenScope | None
    scope: Scope
    markets: Mapping[int, MarketView]

    @property
    def shortage_units(self) -> int:
        """Return MM + buffers - equity; each position's buffer is its market's, rounded up."""
        buffers = sum(
            ceil_ppm(one.notional_units, self.markets[one.symbol_id].terms.exit_buffer_ppm)
            for one in self.scope.exposures
        )
        return margin_shortage_units(self.scope, 0) + buffers


@dataclass(frozen=True, slots=True)
class Progress:
    """What has been tried in this round: slices, whether its time is over, who has refused.

    `fund_refused` are markets in which the fund takes no more, `early` those in which the engine
    calls a takeover too early.
    """

    slices: int = 0
    time_is_over: bool = False
    fund_refused: frozenset[int] = field(default_factory=frozenset)
    early: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Step:
    """The next step: `lots` > 0 of a market, at worst at `limit_ticks`; and why, in words."""

    kind: StepKind
    why: str
    symbol_id: int = 0
    lots: int = 0
    limit_ticks: int = 0


def situation_of(picture: RiskPicture, key: ScopeKey, now_us: int) -> Situation:
    """Return how a scope stands in a picture."""
    scope = picture.scope(key)
    markets = {}
    for one in scope.exposures:
        market = picture.markets[one.symbol_id]
        markets[one.symbol_id] = MarketView(
            market.state,
            market.is_fresh(now_us),
            market.band(),
            market.terms,
        )
    return Situation(
        picture.sequence,
        picture.version(key),
        picture.frozen.get(key),
        scope,
        markets,
    )


def next_step(now: Situation, progress: Progress) -> Step:
    """Return what to do next."""
    if now.frozen is None:
        return Step(StepKind.OVER, "the scope is not frozen")
    scope = now.scope
    if not scope.exposures:
        return Step(StepKind.RELEASE, "no position is left")
    held = _held_by(now)
    if held:
        return Step(StepKind.WAIT, held)
    if now.shortage_units <= 0:
        return Step(StepKind.RELEASE, "equity covers margin and buffer again")
    exposure = reduction_order(scope)[0]
    terms = now.markets[exposure.symbol_id].terms
    slices_left = 0 if progress.time_is_over else max(0, terms.max_slices - progress.slices)
    wants_fund = is_taken_over(
        scope.equity_units,
        scope.maintenance_units,
        slices_left=slices_left,
        threshold_ppm=terms.takeover_ppm,
    )
    if wants_fund and exposure.symbol_id not in progress.early:
        return _take_over(now, exposure, progress)
    if slices_left == 0:
        return Step(StepKind.PAUSE, "this round's slices are used up; it goes on later")
    return _reduce(now, exposure)


def _held_by(now: Situation) -> str:
    """Return what holds the steps that close positions, or nothing."""
    for symbol_id, market in sorted(now.markets.items()):
        match liquidations_in(market.state, mark_is_fresh=market.mark_is_fresh):
            case Liquidations.PREPARE:
                return f"the mark of market {symbol_id} is stale"
            case Liquidations.PAUSED:
                return f"market {symbol_id} is halted"
            case Liquidations.FINAL:
                return f"market {symbol_id} is being settled"
    return ""


def _take_over(now: Situation, exposure: Exposure, progress: Progress) -> Step:
    """Return what goes to the fund: all of it; how much of that it takes is the engine's to say."""
    why = "equity is below 0" if now.scope.equity_units < 0 else "slices did not help"
    rest = abs(exposure.position.lots)
    if exposure.symbol_id in progress.fund_refused:
        why += ", and the fund takes no more"
        return Step(StepKind.DELEVERAGE, why, exposure.symbol_id, rest)
    return Step(StepKind.TAKE_OVER, why, exposure.symbol_id, rest)


def _reduce(now: Situation, exposure: Exposure) -> Step:
    """Return the next slice: as much as the shortage needs, at worst at the bankruptcy price."""
    symbol_id, market = exposure.symbol_id, now.markets[exposure.symbol_id]
    terms = market.terms
    mmr_ppm = exposure.brackets.of(exposure.notional_units).mmr_ppm
    rate_ppm = mmr_ppm + terms.exit_buffer_ppm - terms.liquidation_fee_ppm
    wanted = partial_lots(exposure, now.shortage_units, rate_ppm, terms.slice_min_units)
    lots = slice_lots(exposure, wanted, terms.slices)
    side = Side.SELL if exposure.position.lots > 0 else Side.BUY
    delta = -lots if side is Side.SELL else lots
    quote = bankruptcy_quote_units(now.scope, symbol_id, delta)
    assert isinstance(quote, int)
    price = limit_price_ticks(side, quote, lots, exposure.units_per_tick_lot)
    limit = liquidation_limit_ticks(market.band, side, price or 1)
    return Step(StepKind.REDUCE, "short of margin and buffer", symbol_id, lots, limit)
