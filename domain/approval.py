"""Four eyes: the statement an officer signs, and the rules by which it counts.

The statement is canonical JSON, so that what was signed can be shown and checked for ever. It is
checked twice, by the workflow's validator and by the signer, each with keys of its own file.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# (public key, message, signature) -> whether the signature is the key's
VerifySignature = Callable[[bytes, bytes, bytes], bool]

APPROVE = "approve"
REJECT = "reject"
VOID = "void"  # use the nonce up with a transaction that pays nobody
DECISIONS = frozenset({APPROVE, REJECT, VOID})
VOID_SIGNATURES = 2  # of different officers, whatever the amount
MAX_VALIDITY = dt.timedelta(days=7)
_FIELDS = frozenset({"id", "action", "asset", "amount", "address", "expiry"})


@dataclass(frozen=True, slots=True)
class Statement:
    """What an officer signs; `amount` in chain units, `expiry` in seconds since 1970.

    `nonce` is there for `VOID` alone: it is the hot wallet's nonce that is to be used up.
    """

    withdrawal_id: str
    action: str
    asset: str
    amount: int
    address: str
    expiry: int
    nonce: int | None = None

    def canonical(self) -> str:
        """Return the one text of this statement: sorted keys, no blanks, amount as text."""
        fields: dict[str, str | int] = {
            "id": self.withdrawal_id,
            "action": self.action,
            "asset": self.asset,
            "amount": str(self.amount),
            "address": self.address,
            "expiry": self.expiry,
        }
        if self.nonce is not None:
            fields["nonce"] = self.nonce
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def parse_statement(text: str) -> Statement | None:
    """Return the statement of a canonical text; None for any other text, even an equivalent one."""
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    if not isinstance(fields, dict) or set(fields) - {"nonce"} != _FIELDS:
        return None
    if type(fields.get("nonce", 0)) is not int:
        return None
    if type(fields["expiry"]) is not int or not str(fields["amount"]).isdecimal():
        return None
    statement = Statement(
        withdrawal_id=str(fields["id"]),
        action=str(fields["action"]),
        asset=str(fields["asset"]),
        amount=int(fields["amount"]),
        address=str(fields["address"]),
        expiry=fields["expiry"],
        nonce=fields.get("nonce"),
    )
    return statement if statement.canonical() == text else None


@dataclass(frozen=True, slots=True)
class Officer:
    """A member of staff who may decide: a pinned Ed25519 key, and the account if he has one."""

    name: str
    public_key_hex: str
    customer_id: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The argument of the updates `approve` and `reject`, and what the signer is shown."""

    officer: str
    action: str
    statement: str
    signature_hex: str


def parse_decision(form: object) -> Decision | None:
    """Return the decision that a client sent, with exactly its four texts; None for anything else.

    Forms are typed by hand in Temporal's UI, too.
    """
    if isinstance(form, Decision):
        return form
    if not isinstance(form, Mapping) or set(form) != set(Decision.__slots__):
        return None
    if not all(isinstance(text, str) for text in form.values()):
        return None
    return Decision(**form)


@dataclass(frozen=True, slots=True)
class DecisionSubject:
    """The withdrawal that a decision must name exactly; `nonce` where that is to be voided."""

    withdrawal_id: str
    customer_id: int
    asset: str
    amount: int
    address: str
    nonce: int | None = None

    def statement(self, action: str, expiry: int) -> Statement:
        """Return what an officer signs who decides on it."""
        return Statement(
            withdrawal_id=self.withdrawal_id,
            action=action,
            asset=self.asset,
            amount=self.amount,
            address=self.address,
            expiry=expiry,
            nonce=self.nonce,
        )


class DecisionRefusal(StrEnum):
    """Why a decision does not count; checked in this order."""

    UNKNOWN_OFFICER = "unknown_officer"
    MALFORMED_STATEMENT = "malformed_statement"
    INVALID_SIGNATURE = "invalid_signature"
    WRONG_ACTION = "wrong_action"
    WRONG_WITHDRAWAL = "wrong_withdrawal"
    EXPIRED = "expired"
    EXPIRY_TOO_FAR = "expiry_too_far"
    OFFICER_IS_REQUESTER = "officer_is_requester"
    ALREADY_DECIDED = "already_decided"


def decision_refusal(
    decision: Decision,
    *,
    action: str,
    subject: DecisionSubject,
    officers: Mapping[str, Officer],
    decided: Iterable[str],
    now: dt.datetime,
    verify: VerifySignature,
) -> DecisionRefusal | None:
    """Return why `decision` may not count as `action` on `subject`, or None when it does.

    `decided` names the officers whose decision already counts.
    """
    officer = officers.get(decision.officer)
    if officer is None:
        return DecisionRefusal.UNKNOWN_OFFICER
    statement = parse_statement(decision.statement)
    if statement is None:
        return DecisionRefusal.MALFORMED_STATEMENT
    if not _is_signed(decision, officer, verify):
        return DecisionRefusal.INVALID_SIGNATURE
    if decision.action != action or statement.action != action:
        return DecisionRefusal.WRONG_ACTION
    if statement != subject.statement(action, statement.expiry):
        return DecisionRefusal.WRONG_WITHDRAWAL
    if statement.expiry <= now.timestamp():
        return DecisionRefusal.EXPIRED
    if statement.expiry > (now + MAX_VALIDITY).timestamp():
        return DecisionRefusal.EXPIRY_TOO_FAR
    if officer.customer_id == subject.customer_id:
        return DecisionRefusal.OFFICER_IS_REQUESTER
    if decision.officer in set(decided):
        return DecisionRefusal.ALREADY_DECIDED
    return None


def _is_signed(decision: Decision, officer: Officer, verify: VerifySignature) -> bool:
    try:
        signature = bytes.fromhex(decision.signature_hex)
    except ValueError:
        return False
    return verify(
        bytes.fromhex(officer.public_key_hex), decision.statement.encode("utf-8"), signature
    )


def quorum(amount: int, approval_above: int, *, reviewed: bool = False) -> int:
    """Return how many officers must approve: none up to the threshold, two above ten times it.

    What is `reviewed` needs one in any case.
    """
    if amount <= approval_above:
        return int(reviewed)
    return 1 if amount <= 10 * approval_above else 2
