"""The states of a perpetual market: what moves it between them, and what each allows.

    OPEN <-> GUARDED           breaker tripped, or stale after a start; and calm again
    OPEN, GUARDED -> REDUCE_ONLY -> HALTED     a shortfall, twice; or an operator
    REDUCE_ONLY, HALTED -> GUARDED             an operator resumes
    HALTED -> SETTLEMENT                       an operator settles; there is no way back

No market comes back to OPEN but through GUARDED, with a fresh mark. The numbers are for the wire
and are never reused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class PerpetualState(IntEnum):
    """Which phase a perpetual market is in; stricter ones have higher numbers."""

    OPEN = 0
    GUARDED = 1
    REDUCE_ONLY = 2
    HALTED = 3
    SETTLEMENT = 4


class StateTrigger(StrEnum):
    """What may move a market to another state."""

    STARTED = "started"  # the engine came up: everything is stale
    TRIPPED = "tripped"  # the circuit breaker
    CALM = "calm"  # nothing trips, and the mark is fresh
    SHORTFALL = "shortfall"  # one that auto-deleveraging could not cover
    REDUCE = "reduce"  # an operator
    HALT = "halt"  # an operator
    RESUME = "resume"  # an operator
    SETTLE = "settle"  # an operator: the market ends


_S, _T = PerpetualState, StateTrigger

TRANSITIONS: dict[tuple[PerpetualState, StateTrigger], PerpetualState] = {
    (_S.OPEN, _T.STARTED): _S.GUARDED,
    (_S.OPEN, _T.TRIPPED): _S.GUARDED,
    (_S.OPEN, _T.SHORTFALL): _S.REDUCE_ONLY,
    (_S.OPEN, _T.REDUCE): _S.REDUCE_ONLY,
    (_S.OPEN, _T.HALT): _S.HALTED,
    (_S.GUARDED, _T.CALM): _S.OPEN,
    (_S.GUARDED, _T.SHORTFALL): _S.REDUCE_ONLY,
    (_S.GUARDED, _T.REDUCE): _S.REDUCE_ONLY,
    (_S.GUARDED, _T.HALT): _S.HALTED,
    (_S.REDUCE_ONLY, _T.SHORTFALL): _S.HALTED,
    (_S.REDUCE_ONLY, _T.HALT): _S.HALTED,
    (_S.REDUCE_ONLY, _T.RESUME): _S.GUARDED,
    (_S.HALTED, _T.RESUME): _S.GUARDED,
    (_S.HALTED, _T.SETTLE): _S.SETTLEMENT,
}
"""Every move there is; a trigger that is not listed leaves the state as it is."""


def next_state(state: PerpetualState, trigger: StateTrigger) -> PerpetualState:
    """Return the state after a trigger; the same when the trigger does not concern it."""
    return TRANSITIONS.get((state, trigger), state)


def in_shortfall_after(in_shortfall: bool, state: PerpetualState, trigger: StateTrigger) -> bool:
    """Return whether a market has an uncovered shortfall after a trigger; `state` is before it.

    It has one from the moment it is told of it, whatever its state, until an operator resumes.
    While it has, and positions are open in it, nothing of its collateral leaves the shard.
    """
    if trigger is _T.SHORTFALL:
        return True
    resumes = trigger is _T.RESUME and next_state(state, trigger) is not state
    return in_shortfall and not resumes


class NewOrders(StrEnum):
    """Which new orders a market takes."""

    ALL = "all"
    LIMIT = "limit orders"
    REDUCING = "reducing orders"
    NONE = "none"


class Liquidations(StrEnum):
    """How far a liquidation goes."""

    RUN = "every step"
    PREPARE = "detect, freeze, settle, cancel; then wait for a fresh mark"
    PAUSED = "paused"
    FINAL = "pairs close at the final index, insolvent scopes at their bankruptcy quote"


class FundingMode(StrEnum):
    """How funding goes on."""

    ON = "samples and payments"
    SAMPLE_ZERO = "samples of 0"
    LAST = "one last payment"


class Withdrawals(StrEnum):
    """What a scope with a position in the market may withdraw; stricter ones come later."""

    FREE = "what its margin does not need"
    CASH_LESS_INITIAL = "at most cash less initial margin"
    GATED = "nothing"


@dataclass(frozen=True, slots=True)
class StateRules:
    """What a state allows; `halves_band` halves the price band, rounded down."""

    new_orders: NewOrders
    halves_band: bool
    liquidations: Liquidations
    funding: FundingMode
    withdrawals: Withdrawals


_RULES: dict[PerpetualState, StateRules] = {
    _S.OPEN: StateRules(NewOrders.ALL, False, Liquidations.RUN, FundingMode.ON, Withdrawals.FREE),
    _S.GUARDED: StateRules(
        NewOrders.LIMIT,
        True,
        Liquidations.RUN,
        FundingMode.SAMPLE_ZERO,
        Withdrawals.CASH_LESS_INITIAL,
    ),
    _S.REDUCE_ONLY: StateRules(
        NewOrders.REDUCING, False, Liquidations.RUN, FundingMode.ON, Withdrawals.FREE
    ),
    _S.HALTED: StateRules(
        NewOrders.NONE,
        False,
        Liquidations.PAUSED,
        FundingMode.SAMPLE_ZERO,
        Withdrawals.GATED,
    ),
    _S.SETTLEMENT: StateRules(
        NewOrders.NONE, False, Liquidations.FINAL, FundingMode.LAST, Withdrawals.GATED
    ),
}


def rules_of(state: PerpetualState) -> StateRules:
    """Return what a state allows while the mark is fresh; cancelling is always allowed."""
    return _RULES[state]


def liquidations_in(state: PerpetualState, *, mark_is_fresh: bool) -> Liquidations:
    """Return how far liquidations go: a stale mark holds them before anything is closed."""
    rule = _RULES[state].liquidations
    if rule is Liquidations.RUN and not mark_is_fresh:
        return Liquidations.PREPARE
    return rule


def band_ppm_in(state: PerpetualState, band_ppm: int) -> int:
    """Return how wide the price band is in a state."""
    return band_ppm // 2 if _RULES[state].halves_band else band_ppm


def gated_units(
    withdrawable_units: int,
    cash_units: int,
    initial_units: int,
    gates: list[Withdrawals],
    *,
    is_liquidating: bool,
    marks_are_fresh: bool,
) -> int:
    """Return what of `withdrawable_units` may leave now, given the gates of the scope's markets.

    Nothing while the scope is being liquidated, a mark is stale, or a market is halted or settled;
    in a guarded market at most cash - IM, so not even cash that only unrealised profit frees.
    """
    if is_liquidating or not marks_are_fresh or Withdrawals.GATED in gates:
        return 0
    if Withdrawals.CASH_LESS_INITIAL in gates:
        return max(0, min(withdrawable_units, cash_units - initial_units))
    return withdrawable_units
