"""Signed decisions: what counts, and why the rest does not."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.approval import (
    APPROVE,
    REJECT,
    VOID,
    Decision,
    DecisionRefusal,
    DecisionSubject,
    Officer,
    Statement,
    decision_refusal,
    parse_statement,
    quorum,
)
from infra.wallet.officers import sign_statement, verify_ed25519

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
KEYS = {name: Ed25519PrivateKey.generate() for name in ("marta", "piero", "carla")}
OFFICERS = {
    name: Officer(name, key.public_key().public_bytes_raw().hex(), 7 if name == "carla" else None)
    for name, key in KEYS.items()
}
SUBJECT = DecisionSubject("w-1", 7, "USDT", 5_000, "0xReceiver")
GOOD = Statement("w-1", APPROVE, "USDT", 5_000, "0xReceiver", int(NOW.timestamp()) + 3600)


def _signed(statement: Statement = GOOD, officer: str = "marta", key: str = "") -> Decision:
    return sign_statement(KEYS[key or officer], officer, statement)


def _refusal(
    decision: Decision,
    action: str = APPROVE,
    decided: tuple[str, ...] = (),
    subject: DecisionSubject = SUBJECT,
) -> DecisionRefusal | None:
    return decision_refusal(
        decision,
        action=action,
        subject=subject,
        officers=OFFICERS,
        decided=decided,
        now=NOW,
        verify=verify_ed25519,
    )


def test_signed_statement_counts() -> None:
    """The exact statement, signed by a pinned key, before its expiry."""
    assert _refusal(_signed()) is None


def test_void_names_its_nonce() -> None:
    """A statement for another nonce, or without one, uses none up; an approval has none."""
    void = replace(GOOD, action=VOID, nonce=4)
    subject = replace(SUBJECT, nonce=4)
    assert _refusal(_signed(void), VOID, subject=subject) is None
    for other in (replace(void, nonce=5), replace(void, nonce=None)):
        refused = _refusal(_signed(other), VOID, subject=subject)
        assert refused is DecisionRefusal.WRONG_WITHDRAWAL
    assert _refusal(_signed(replace(GOOD, nonce=4))) is DecisionRefusal.WRONG_WITHDRAWAL
    for bad in ("4", True, None, 4.0):
        text = void.canonical().replace('"nonce":4', f'"nonce":{json.dumps(bad)}')
        assert parse_statement(text) is None


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"withdrawal_id": "w-2"}, DecisionRefusal.WRONG_WITHDRAWAL),
        ({"amount": 5_001}, DecisionRefusal.WRONG_WITHDRAWAL),
        ({"asset": "ETH"}, DecisionRefusal.WRONG_WITHDRAWAL),
        ({"address": "0xOther"}, DecisionRefusal.WRONG_WITHDRAWAL),
        ({"action": REJECT}, DecisionRefusal.WRONG_ACTION),
        ({"expiry": int(NOW.timestamp())}, DecisionRefusal.EXPIRED),
        ({"expiry": int(NOW.timestamp()) + 8 * 86400}, DecisionRefusal.EXPIRY_TOO_FAR),
    ],
)
def test_statement_about_something_else_does_not_count(
    changed: dict[str, object], refusal: DecisionRefusal
) -> None:
    """Each field of the statement matters, even when the signature is good."""
    assert _refusal(_signed(replace(GOOD, **changed))) is refusal  # type: ignore[arg-type]


def test_unknown_officer_is_refused() -> None:
    """A name without a pinned key is nobody."""
    assert _refusal(replace(_signed(), officer="mallory")) is DecisionRefusal.UNKNOWN_OFFICER


@pytest.mark.parametrize("signature", ["", "00", "zz", "00" * 64])
def test_unsigned_decision_is_refused(signature: str) -> None:
    """A bare name typed into a form is not a decision."""
    bare = replace(_signed(), signature_hex=signature)
    assert _refusal(bare) is DecisionRefusal.INVALID_SIGNATURE


def test_another_officers_key_is_refused() -> None:
    """Who signs for somebody else is found out."""
    assert _refusal(_signed(officer="marta", key="piero")) is DecisionRefusal.INVALID_SIGNATURE


def test_text_changed_after_signing_is_refused() -> None:
    """The signature covers the text."""
    signed = _signed()
    forged = replace(signed, statement=signed.statement.replace("5000", "9000"))
    assert _refusal(forged) is DecisionRefusal.INVALID_SIGNATURE


def test_requester_may_not_decide() -> None:
    """An officer's own withdrawal needs another officer."""
    assert _refusal(_signed(officer="carla")) is DecisionRefusal.OFFICER_IS_REQUESTER


def test_same_officer_counts_once() -> None:
    """Four eyes are two people."""
    assert _refusal(_signed(), decided=("marta",)) is DecisionRefusal.ALREADY_DECIDED
    assert _refusal(_signed(officer="piero"), decided=("marta",)) is None


def test_approval_is_no_rejection() -> None:
    """The update's name, the decision and the statement must agree."""
    assert _refusal(_signed(), action=REJECT) is DecisionRefusal.WRONG_ACTION
    rejection = _signed(replace(GOOD, action=REJECT))
    assert _refusal(rejection, action=REJECT) is None


def test_only_the_canonical_text_is_a_statement() -> None:
    """One statement, one text: blanks, other orders, fields and types are refused."""
    text = GOOD.canonical()
    assert parse_statement(text) == GOOD
    fields = json.loads(text)
    others = [
        json.dumps(fields),
        json.dumps({**fields, "more": 1}, sort_keys=True, separators=(",", ":")),
        json.dumps({**fields, "amount": 5000}, sort_keys=True, separators=(",", ":")),
        json.dumps({**fields, "expiry": True}, sort_keys=True, separators=(",", ":")),
        json.dumps({**fields, "amount": "05000"}, sort_keys=True, separators=(",", ":")),
        "[]",
        "nonsense",
    ]
    assert [parse_statement(other) for other in others] == [None] * len(others)


def test_quorum_grows_with_the_amount() -> None:
    """Nobody up to the threshold, one officer above it, two above ten times it."""
    assert [quorum(amount, 100) for amount in (100, 101, 1_000, 1_001)] == [0, 1, 1, 2]
