"""The record of a liquidation: what each step saw, what it asked for, what came of it.

Every number of a step stands in its record, so that anybody can compute it again by the formulas
of `docs/risk.md`: marks, cash, equity and margin before it, the book or the ranking that it met,
its key, the engine's sequence, and what was left. Money is in millionths of the collateral.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from domain.liquidation_plan import scope_name
from domain.money import text_from_units
from domain.risk_picture import ScopeKey

LIQUIDATION_WORKFLOW = "LiquidationWorkflow"
DELEVERAGING_WORKFLOW = "AutoDeleveragingWorkflow"
CLOSING_WORKFLOW = "LiquidationRecordWorkflow"
QUOTE_DECIMALS = 6
BOOK_LEVELS = 10
RANKS_SHOWN = 20
"""How much of a book and of a ranking a record keeps."""


@dataclass(frozen=True)
class LiquidationRequest:
    """The argument of `liquidation-{scope}`: the scope, and the freeze that began it.

    `liquidation_id` is the freeze's key in hexadecimal; the engine's record of it is the row.
    """

    shard: int
    account_id: int
    symbol_id: int
    liquidation_id: str
    frozen_sequence: int

    @property
    def scope(self) -> ScopeKey:
        """Return the scope."""
        return ScopeKey(self.account_id, self.symbol_id)

    @property
    def name(self) -> str:
        """Return the scope's name in ids."""
        return scope_name(self.shard, self.scope)

    @property
    def key(self) -> int:
        """Return the freeze's key."""
        return int(self.liquidation_id, 16)


def liquidation_workflow_id(shard: int, scope: ScopeKey) -> str:
    """Return the workflow's id: one open liquidation a scope."""
    return f"liquidation-{scope_name(shard, scope)}"


def deleveraging_workflow_id(liquidation_id: str, symbol_id: int) -> str:
    """Return the id of the child that deleverages one market of a liquidation."""
    return f"auto-deleveraging-{liquidation_id}-{symbol_id}"


def closing_workflow_id(liquidation_id: str) -> str:
    """Return the id of the workflow that writes the record into the database."""
    return f"liquidation-record-{liquidation_id}"


@dataclass(frozen=True)
class ScopeNumbers:
    """A scope at one moment, in units; `version` is the engine's."""

    version: int
    cash_units: int
    equity_units: int
    maintenance_units: int
    shortage_units: int


@dataclass(frozen=True)
class StepRecord:
    """One command of a liquidation.

    `marks` are [market, mark in ticks]; `book` the best levels that the order met, [ticks, lots];
    `ranks` the first counterparties, [account, lots, score ppm]. `sequence` and `time_us` are the
    engine's, `refusal` is "" when the command took effect. `quote_units` is signed to the account.
    A step that was `found` in the log, as its process died, has no numbers from before it.
    """

    number: int
    kind: str
    key: str
    symbol_id: int
    lots: int
    limit_ticks: int
    why: str
    sequence: int
    time_us: int
    refusal: str = ""
    done_lots: int = 0
    quote_units: int = 0
    insurance_units: int = 0
    haircut_units: int = 0
    counterparty_id: int = 0
    found: bool = False
    before: ScopeNumbers | None = None
    after: ScopeNumbers | None = None
    marks: list[list[int]] = field(default_factory=list)
    fills: list[list[int]] = field(default_factory=list)
    book: list[list[int]] = field(default_factory=list)
    ranks: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class RoundState:
    """Where a liquidation is between two runs of its activity.

    `number` is the next step's, `last_sequence` that of the last command that took effect. `slices`
    and `round_began_us` are this round's; `round` counts rounds and passes of deleveraging.
    """

    number: int = 1
    round: int = 1
    slices: int = 0
    round_began_us: int = 0
    last_sequence: int = 0
    fund_refused: list[int] = field(default_factory=list)
    early: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class AdvanceRequest:
    """The argument of the activity `advance_liquidation`."""

    liquidation: LiquidationRequest
    state: RoundState


@dataclass(frozen=True)
class Advanced:
    """What a run of the activity did, and how it goes on: `next_stage`.

    `released`, `over`, `waiting`, `refused` and `later` (with `why`), `running` after many steps,
    or `deleveraging` of `symbol_id`.
    """

    next_stage: str
    state: RoundState
    why: str = ""
    symbol_id: int = 0
    steps: list[StepRecord] = field(default_factory=list)


@dataclass(frozen=True)
class DeleverageRequest:
    """The argument of `auto-deleveraging-{liq_id}-{symbol}`; `first_number` is the first step's."""

    liquidation: LiquidationRequest
    symbol_id: int
    round: int
    first_number: int
    last_sequence: int


@dataclass(frozen=True)
class DeleverageResult:
    """What a pass through the ranking did.

    `ended` says why: "done", "fund" (it can take over again), "early" (the book comes first),
    "changed" (begin anew), "held" (by a stale mark or a halt), or "shortfall": nobody is left who
    can be a counterparty.
    """

    ended: str
    left_lots: int
    why: str = ""
    steps: list[StepRecord] = field(default_factory=list)


def state_after(state: RoundState, symbol_id: int, found: DeleverageResult) -> RoundState:
    """Return where a liquidation is after a pass of deleveraging in a market.

    "fund": it is asked again. "early": the book comes first there.
    """
    last = max((step.sequence for step in found.steps), default=0)
    return replace(
        state,
        number=state.number + len(found.steps),
        round=state.round + 1,
        last_sequence=max(state.last_sequence, last),
        fund_refused=[] if found.ended == "fund" else state.fund_refused,
        early=[symbol_id] if found.ended == "early" else state.early,
    )


@dataclass(frozen=True)
class LiquidationRecord:
    """A whole liquidation, as it is stored and printed. `ended` is "released" or "over"."""

    request: LiquidationRequest
    ended: str
    began_us: int
    ended_us: int
    last_sequence: int
    signatures: dict[str, str] = field(default_factory=dict)
    steps: list[StepRecord] = field(default_factory=list)


@dataclass(frozen=True)
class LiquidationResult:
    """How a liquidation ended; `ledger` is "settled", or "pending" when nobody waited longer."""

    ended: str
    steps: int
    last_sequence: int
    ledger: str


def advanced_text(advanced: Advanced) -> str:
    """Return what a heartbeat carries."""
    return json.dumps(asdict(advanced))


def advanced_of(text: str) -> Advanced:
    """Return what a heartbeat carried."""
    fields = json.loads(text)
    steps = [step_of(step) for step in fields.pop("steps")]
    return Advanced(state=RoundState(**fields.pop("state")), steps=steps, **fields)


def step_of(fields: dict[str, Any]) -> StepRecord:
    """Return a step of its stored fields."""
    numbers = {
        name: None if fields[name] is None else ScopeNumbers(**fields[name])
        for name in ("before", "after")
    }
    return StepRecord(**{**fields, **numbers})


def money(units: int) -> str:
    """Return an amount of collateral as decimal text."""
    return text_from_units(units, QUOTE_DECIMALS)


def line_of(step: StepRecord) -> str:
    """Return one step as a sentence, for the details of a workflow and for `rialto audit`."""
    about = f"{step.number}. {_deed(step)}"
    if step.refusal:
        return f"{about}: refused, {step.refusal.lower().replace('_', ' ')}"
    if step.after is not None:
        about += (
            f"; equity {money(step.after.equity_units)}, "
            f"margin {money(step.after.maintenance_units)}"
        )
    if step.found:
        about += " (found in the log: its sender died)"
    return f"{about} (sequence {step.sequence})"


def _deed(step: StepRecord) -> str:
    where = f"market {step.symbol_id}"
    match step.kind:
        case "reduce":
            fee = f", {money(step.insurance_units)} to the fund" if step.insurance_units else ""
            return (
                f"{where}: {step.done_lots} of {step.lots} lots closed in the book, limit "
                f"{step.limit_ticks}, for {money(step.quote_units)}{fee}"
            )
        case "take over":
            return (
                f"{where}: the fund takes {step.done_lots} of {step.lots} lots, "
                f"worth {money(step.quote_units)}"
            )
        case "deleverage":
            return (
                f"{where}: {step.done_lots} of {step.lots} lots against account "
                f"{step.counterparty_id}, haircut {money(step.haircut_units)}"
            )
        case _:
            return f"{step.kind}: {step.why}"


def story_of(steps: Sequence[StepRecord], most: int = 40) -> list[str]:
    """Return the newest `most` steps as sentences, and how many came before."""
    lines = [line_of(step) for step in steps[-most:]]
    hidden = len(steps) - len(lines)
    return [f"... {hidden} steps before", *lines] if hidden else lines
