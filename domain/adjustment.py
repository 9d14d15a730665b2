"""Adjustments: what people post by hand, with a reason and two signatures.

Nothing that is stored is ever changed: an adjustment is a journal of its own. One that names an
event of a parked settlement is that event's correcting entry, under the event's own key; without
postings it attests that an event of an unknown type moves no money (quarantine). One that names a
deposit in suspense releases it to a customer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.account import AccountKind, UnknownAccountError, parse_account
from domain.deposit import is_deposit_id
from domain.hash_chain import JsonValue, canonical_json
from domain.ledger import JournalRequest, Posting, correction_key, quarantine_key
from domain.two_signatures import reason_refusal

ADJUSTMENT_WORKFLOW = "AdjustmentWorkflow"
ADJUSTMENT_QUEUE = "settlement"  # the task queue: its worker has the ledger and the pinned keys
ADJUST = "adjust"
STREAM = "adjustment"
_EVENT = re.compile(r"([0-9]{1,5}):([0-9]{1,18})\.([0-9]{1,5})")


class AdjustmentState(StrEnum):
    """Where an adjustment stands; the business row's `state`."""

    PROPOSED = "proposed"
    POSTED = "posted"
    EXPIRED = "expired"


def adjustment_workflow_id(adjustment_id: str) -> str:
    """Return the workflow's id."""
    return f"adjustment-{adjustment_id}"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What is proposed; `expiry` in seconds since 1970.

    `event` names what it is about: "", a shard:sequence.index, or a deposit's id.
    """

    adjustment_id: str
    postings: tuple[Posting, ...]
    reason: str
    event: str
    expiry: int
    proposed_by: str
    state: AdjustmentState = AdjustmentState.PROPOSED

    noun = "adjustment"
    action = ADJUST

    @property
    def is_open(self) -> bool:
        """Return whether it still takes signatures."""
        return self.state is AdjustmentState.PROPOSED

    def statement(self) -> str:
        """Return the one text that officers sign."""
        return canonical_json(
            {
                "id": self.adjustment_id,
                "action": ADJUST,
                "postings": [
                    [p.source, p.destination, p.asset, str(p.amount)] for p in self.postings
                ],
                "reason": self.reason,
                "event": self.event,
                "expiry": self.expiry,
            }
        ).decode("ascii")

    def request(self, signatures: Mapping[str, str]) -> JournalRequest:
        """Return what is posted: once, whoever tries how often; {officer: signature, hex}."""
        detail: dict[str, JsonValue] = {
            "statement": self.statement(),
            "signatures": dict(sorted(signatures.items())),
        }
        return JournalRequest(STREAM, self.key, self.kind, self.postings, detail)

    @property
    def kind(self) -> str:
        """Return the journal's business reason."""
        if not self.event:
            return "adjustment"
        if self.deposit_id:
            return "suspense_release"
        return "correction" if self.postings else "quarantine"

    @property
    def deposit_id(self) -> str:
        """Return the deposit that it releases from suspense; "" for none."""
        return self.event if is_deposit_id(self.event) else ""

    @property
    def key(self) -> str:
        """Return the journal's key."""
        if self.deposit_id:
            return f"{self.deposit_id}-release"
        place = event_place(self.event)
        if place is None:
            return adjustment_workflow_id(self.adjustment_id)
        return correction_key(*place) if self.postings else quarantine_key(*place)


def event_place(text: str) -> tuple[int, int, int] | None:
    """Return (shard, sequence, index) of an event's name; None where it is none."""
    found = _EVENT.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def proposal_refusal(proposed: Adjustment) -> str | None:
    """Return why an adjustment may not even be proposed, in words, or None."""
    refusal = reason_refusal("an adjustment", proposed.reason)
    if refusal is not None:
        return refusal
    if proposed.deposit_id:
        return _release_refusal(proposed)
    if proposed.event and event_place(proposed.event) is None:
        return "an event is named shard:sequence.index"
    if not proposed.postings and not proposed.event:
        return "an adjustment without postings needs the event that it puts into quarantine"
    for posting in proposed.postings:
        for code in (posting.source, posting.destination):
            try:
                account = parse_account(code)
            except UnknownAccountError as error:
                return str(error)
            if account.asset != posting.asset:
                return f"{code} does not hold {posting.asset}"
            if account.shard is not None and not proposed.event:
                return f"{code} is settlement's; a correction names the event that it belongs to"
    return None


def _release_refusal(proposed: Adjustment) -> str | None:
    """Return why this does not release a deposit: one posting, suspense to a customer's main."""
    try:
        (posting,) = proposed.postings
        source, target = parse_account(posting.source), parse_account(posting.destination)
    except ValueError:
        return "a release has one posting, from suspense to a customer's main account"
    if (source.kind, target.kind) != (AccountKind.SUSPENSE, AccountKind.MAIN):
        return "a release goes from suspense to a customer's main account"
    if not source.asset == target.asset == posting.asset:
        return f"not both accounts hold {posting.asset}"
    return None


@dataclass(frozen=True)
class AdjustmentRequest:
    """The argument of the workflow `adjustment-{id}`."""

    adjustment_id: str


@dataclass(frozen=True)
class AdjustmentView:
    """What the workflow sees of the row. `seconds_left` until it expires."""

    state: str
    kind: str
    reason: str
    signatures: int
    seconds_left: int
    settlement_shard: int | None = None  # whose settlement is to try again afterwards
