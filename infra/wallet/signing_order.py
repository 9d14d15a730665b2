"""What the signer is told: orders as they come over the wire, and the signatures on them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.approval import Decision, DecisionSubject, Officer, decision_refusal
from domain.signing_limits import Payment
from infra.wallet.officers import verify_ed25519
from infra.wallet.signer_refusal import Refused, SignerRefusal

COLD_MARK = "cold:"  # before the asset of what goes cold: it is no part of what may be lost an hour
_ORDER_FIELDS = frozenset(
    {"withdrawal_id", "customer_id", "asset", "amount", "fee", "address", "approvals"}
)
_VOID_FIELDS = frozenset(
    {"withdrawal_id", "customer_id", "asset", "amount", "address", "nonce", "decisions"}
)
_DECISION_FIELDS = frozenset({"officer", "action", "statement", "signature_hex"})
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AMOUNT = re.compile(r"[1-9][0-9]{0,37}|0")


@dataclass(frozen=True, slots=True)
class SigningOrder:
    """A parsed order: pay `amount - fee` of `asset` to `address`."""

    withdrawal_id: str
    customer_id: int
    asset: str
    amount: int
    fee: int
    address: str
    approvals: tuple[Decision, ...]

    def payment(self, now: dt.datetime) -> Payment:
        """Return what this order pays, as signed at `now`."""
        at_seconds = int(now.timestamp())
        return Payment(self.withdrawal_id, self.asset, self.amount, self.address, at_seconds)


@dataclass(frozen=True, slots=True)
class VoidOrder:
    """A parsed order: use `nonce` up, so that this withdrawal, or payment of ours, is never paid.

    A payment of ours has no customer: 0.
    """

    withdrawal_id: str
    customer_id: int
    asset: str
    amount: int
    address: str
    nonce: int
    decisions: tuple[Decision, ...]

    def subject(self) -> DecisionSubject:
        """Return what the officers must have signed."""
        return DecisionSubject(
            self.withdrawal_id,
            self.customer_id,
            self.asset,
            self.amount,
            self.address,
            self.nonce,
        )

    def gives_up(self, signed: Payment) -> bool:
        """Return whether a signed payment is the one that is given up."""
        wanted = (self.withdrawal_id, self.amount, self.address)
        same = wanted == (signed.withdrawal_id, signed.amount, signed.address)
        return same and signed.asset.removeprefix(COLD_MARK) == self.asset


def parse_order(fields: Mapping[str, Any]) -> SigningOrder | Refused:
    """Parse what came over the wire; amounts are decimal text, since JSON numbers may be floats."""
    refused = _fields_refusal(fields, _ORDER_FIELDS, "approvals", "fee")
    if refused is not None:
        return refused
    return SigningOrder(
        withdrawal_id=fields["withdrawal_id"],
        customer_id=fields["customer_id"],
        asset=fields["asset"],
        amount=int(fields["amount"]),
        fee=int(fields["fee"]),
        address=fields["address"],
        approvals=tuple(Decision(**decision) for decision in fields["approvals"]),
    )


def parse_void(fields: Mapping[str, Any]) -> VoidOrder | Refused:
    """Parse an order to use a nonce up."""
    refused = _fields_refusal(fields, _VOID_FIELDS, "decisions")
    if refused is not None:
        return refused
    if type(fields["nonce"]) is not int or fields["nonce"] < 0:
        return Refused(SignerRefusal.MALFORMED_FIELD, "nonce")
    return VoidOrder(
        withdrawal_id=fields["withdrawal_id"],
        customer_id=fields["customer_id"],
        asset=fields["asset"],
        amount=int(fields["amount"]),
        address=fields["address"],
        nonce=fields["nonce"],
        decisions=tuple(Decision(**decision) for decision in fields["decisions"]),
    )


def _fields_refusal(
    fields: Mapping[str, Any], wanted: frozenset[str], decisions: str, *amounts: str
) -> Refused | None:
    """Return what is missing, too much or malformed in an order; `amounts` beside the amount."""
    if set(fields) != wanted or not isinstance(fields[decisions], list):
        return Refused(SignerRefusal.UNKNOWN_OR_MISSING_FIELD)
    for decision in fields[decisions]:
        if not isinstance(decision, dict) or set(decision) != _DECISION_FIELDS:
            return Refused(SignerRefusal.UNKNOWN_OR_MISSING_FIELD, decisions)
        if not all(isinstance(value, str) for value in decision.values()):
            return Refused(SignerRefusal.MALFORMED_FIELD, decisions)
    texts = [fields[name] for name in ("withdrawal_id", "asset", "amount", "address", *amounts)]
    if not all(isinstance(text, str) for text in texts) or type(fields["customer_id"]) is not int:
        return Refused(SignerRefusal.MALFORMED_FIELD)
    if not _UUID.fullmatch(fields["withdrawal_id"]):
        return Refused(SignerRefusal.MALFORMED_FIELD, "withdrawal_id")
    if not all(_AMOUNT.fullmatch(fields[name]) for name in ("amount", *amounts)):
        return Refused(SignerRefusal.MALFORMED_FIELD, "amount")
    return None


def signatures_refusal(
    decisions: Sequence[Decision],
    action: str,
    subject: DecisionSubject,
    officers: Mapping[str, Officer],
    needed: int,
    now: dt.datetime,
) -> Refused | None:
    """Return why the decisions are not `needed` good ones of different officers and keys."""
    pinned = dict(officers)  # one look at the file for the whole order
    counted: list[str] = []
    for decision in decisions:
        refusal = decision_refusal(
            decision,
            action=action,
            subject=subject,
            officers=pinned,
            decided=counted,
            now=now,
            verify=verify_ed25519,
        )
        if refusal is not None:
            return Refused(SignerRefusal.INVALID_APPROVAL, f"{decision.officer}: {refusal}")
        counted.append(decision.officer)
    if len({pinned[name].public_key_hex for name in counted}) < len(counted):
        return Refused(SignerRefusal.INVALID_APPROVAL, "two officers have one key")
    if len(counted) < needed:
        return Refused(SignerRefusal.TOO_FEW_APPROVALS, f"{len(counted)} of {needed}")
    return None
