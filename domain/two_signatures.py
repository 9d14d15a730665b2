"""What two officers must sign: the rules that adjustments and changes of markets share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from domain.approval import Decision, Officer, VerifySignature

SIGNATURES_NEEDED = 2
PROPOSED = "proposed"  # the state in which signatures are taken, of every kind
MAX_REASON = 500


class Proposal(Protocol):
    """A proposal that takes two signatures. `expiry` in seconds since 1970."""

    @property
    def noun(self) -> str:
        """Return what it is, in words."""

    @property
    def action(self) -> str:
        """Return the action that officers sign for."""

    @property
    def expiry(self) -> int:
        """Return when it ends unsigned."""

    @property
    def state(self) -> str:
        """Return where it stands."""

    @property
    def is_open(self) -> bool:
        """Return whether it still takes signatures."""

    def statement(self) -> str:
        """Return the one text that officers sign."""


def reason_refusal(noun: str, reason: str) -> str | None:
    """Return why a reason is none, in words, or None."""
    if not reason.strip() or len(reason) > MAX_REASON:
        return f"{noun} needs a reason of at most {MAX_REASON} characters"
    return None


def signature_refusal(
    decision: Decision,
    proposal: Proposal,
    *,
    officers: Mapping[str, Officer],
    signed: Collection[str],
    now: int,
    verify: VerifySignature,
) -> str | None:
    """Return why a signature does not count, or None when it does; checked in this order."""
    officer = officers.get(decision.officer)
    if officer is None:
        return "unknown officer"
    if decision.action != proposal.action or decision.statement != proposal.statement():
        return f"the statement is not this {proposal.noun}'s"
    if not is_signed(officer, decision.statement, decision.signature_hex, verify):
        return "invalid signature"
    if not proposal.is_open:
        return f"the {proposal.noun} is {proposal.state}"
    if proposal.expiry <= now:
        return "expired"
    if decision.officer in signed:
        return "this officer has signed already"
    return None


def is_signed(
    officer: Officer, statement: str, signature_hex: str, verify: VerifySignature
) -> bool:
    """Return whether the officer's pinned key made the signature over `statement`."""
    try:
        signature = bytes.fromhex(signature_hex)
    except ValueError:
        return False
    return verify(bytes.fromhex(officer.public_key_hex), statement.encode(), signature)


def valid_signatures(
    proposal: Proposal,
    signatures: Mapping[str, str],
    officers: Mapping[str, Officer],
    verify: VerifySignature,
) -> int:
    """Return how many officers' stored signatures ({officer: hex}) are good today.

    A row is believed as far as its signatures go, and a key that is pinned no more counts no more.
    """
    statement = proposal.statement()
    return sum(
        name in officers and is_signed(officers[name], statement, signature, verify)
        for name, signature in signatures.items()
    )


@dataclass(frozen=True)
class SignRequest:
    """One officer's signature, on its way to be checked."""

    proposal_id: str
    decision: dict[str, str] = field(default_factory=dict)
