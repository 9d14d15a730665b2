"""Adjustments: what people post by hand, with a reason and two signatures.

Nothing that is stored is ever changed: an adjustment is a journal of its own. One that names an
event of a parked settlement is that event's correcting entry, under the event's own key; without
postings it attests that an event of an unknown type moves no money (quarantine). One that names a
deposit in suspense releases it to a customer or, with an address, returns it to its sender.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.account import AccountKind, UnknownAccountError, parse_account
from domain.deposit import is_deposit_id
from domain.hash_chain import JsonValue, canonical_json
from domain.ledger import (
    JournalRequest,
    Posting,
    correction_key,
    quarantine_key,
    suspense,
    withdrawal_pending,
)
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

    `event` names what it is about: "", a shard:sequence.index, or a deposit's id. `address` is
    whom a return pays, "" for everything else.
    """

    adjustment_id: str
    postings: tuple[Posting, ...]
    reason: str
    event: str
    expiry: int
    proposed_by: str
    state: AdjustmentState = AdjustmentState.PROPOSED
    address: str = ""

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
                **({"address": self.address} if self.address else {}),
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
            return "suspense_return" if self.address else "suspense_release"
        return "correction" if self.postings else "quarantine"

    @property
    def deposit_id(self) -> str:
        """Return the deposit that it takes out of suspense; "" for none."""
        return self.event if is_deposit_id(self.event) else ""

    @property
    def key(self) -> str:
        """Return the journal's key."""
        if self.deposit_id and self.address:  # one that failed may be tried again
            return f"{self.deposit_id}-return-{self.adjustment_id}"
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
        return _return_refusal(proposed) if proposed.address else _release_refusal(proposed)
    if proposed.address:
        return "only the return of a deposit names an address"
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


def _return_refusal(proposed: Adjustment) -> str | None:
    """Return why this does not return a deposit: one posting, from suspense to what is pending."""
    wanted = {(suspense(it.asset), withdrawal_pending(it.asset)) for it in proposed.postings}
    if {(it.source, it.destination) for it in proposed.postings} != wanted or len(wanted) != 1:
        return "a return has one posting, from suspense to withdrawal:pending"
    return None if len(proposed.postings) == 1 else "a return has one posting"


@dataclass(frozen=True, slots=True)
class ReturnTerms:
    """What officers have signed for: `amount` chain units of a deposit go to its sender."""

    adjustment_id: str
    deposit_id: str
    asset: str
    amount: int
    address: str
    expiry: int


def return_terms(statement: str) -> ReturnTerms | None:
    """Return what a statement of a return says; None for any other text, even an equivalent one."""
    try:
        said = json.loads(statement)
        ((source, destination, asset, units),) = said["postings"]
        proposed = Adjustment(
            adjustment_id=str(said["id"]),
            postings=(Posting(str(source), str(destination), str(asset), int(units)),),
            reason=str(said["reason"]),
            event=str(said["event"]),
            expiry=int(said["expiry"]),
            proposed_by="",
            address=str(said["address"]),
        )
    except (ValueError, TypeError, KeyError):
        return None
    if proposed.statement() != statement or proposal_refusal(proposed) is not None:
        return None
    if proposed.kind != "suspense_return":
        return None
    return ReturnTerms(
        proposed.adjustment_id,
        proposed.deposit_id,
        proposed.postings[0].asset,
        proposed.postings[0].amount,
        proposed.address,
        proposed.expiry,
    )


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
