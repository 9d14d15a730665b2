"""What the console shows: one row for each thing that waits for somebody of the staff.

Amounts are decimal text in whole coins unless they are called units; times are ISO 8601, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from domain.decision_choices import Choice


@dataclass(frozen=True, slots=True)
class Link:
    """A named search in Temporal's UI."""

    title: str
    href: str


@dataclass(frozen=True, slots=True)
class StoppedPayments:
    """Who stops payments out, and why."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Screened:
    """What policy and screening said when they let it pass; `screenings` are lines to be read."""

    policy_version: int
    checks: dict[str, bool]
    screenings: list[str]


@dataclass(frozen=True, slots=True)
class WithdrawalWork:
    """A withdrawal that waits for officers, or is parked.

    `amount_units` is what officers sign, in chain units; `receives` is the amount without the fee.
    `value_usd` is of the request; "" where it is not known. `parked` is why it is parked.
    """

    withdrawal_id: str
    workflow_id: str
    customer_id: int
    customer: str
    standing: str
    tier: str
    asset: str
    amount: str
    amount_units: str
    decimals: int
    fee: str
    receives: str
    value_usd: str
    chain: str
    address: str
    beneficiary: str
    institution: str
    state: str
    stage: str
    requested_at: str
    deadline: str
    needed: int
    approved_by: list[str]
    review: str
    nonce: int | None
    screened: Screened | None
    parked: str
    advice: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class ParkedWork:
    """Any other workflow that waits for a decision; `details` are what it says itself.

    `statement` is what officers sign about it, "" where a retry is all.
    """

    workflow_id: str
    workflow_type: str
    stage: str
    account: str
    asset: str
    symbol: str
    amount: str
    about_usd: int | None
    started_at: str
    is_paused: bool
    details: str
    runbook: str
    action: str
    statement: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class SuspenseItem:
    """A deposit whose money is in suspense; negative when a reorganisation took it back.

    `proposals` are the open releases of it. `about_usd` is a rough value in whole dollars.
    """

    deposit_id: str
    customer_id: int
    customer: str
    asset: str
    amount: str
    about_usd: int | None
    reason: str
    sender: str
    tx_hash: str
    seen_at: str
    proposals: list[str]
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class ProposedWork:
    """An adjustment or a change of a market that takes two signatures.

    `lines` say what it does; `statement` is the one text that officers sign.
    """

    proposal_id: str
    workflow_id: str
    kind: str
    action: str
    lines: list[str]
    reason: str
    proposed_by: str
    signed_by: list[str]
    deadline: str
    statement: str
    failure: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class CustomerFile:
    """A customer as staff knows him: standing, tier, latest withdrawals, every record."""

    customer_id: int
    name: str
    kind: str
    standing: str
    tier: str
    since: str
    withdrawals: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Done:
    """What was asked for has happened; `text` says what came of it."""

    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """What was asked for does not happen; `why` is the refusal as it was given."""

    why: str
