"""The signer pays a deposit back only where two pinned officers have signed for just that."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.adjustment import ADJUST, Adjustment
from domain.approval import Decision, Officer
from domain.ledger import Posting, suspense, withdrawal_pending
from infra.wallet.own_payments import OwnPaymentSigner
from infra.wallet.signer import SignedTransaction
from infra.wallet.signer_journal import SignerJournal
from infra.wallet.signer_policy import AssetPolicy, SignerPolicy
from infra.wallet.signer_refusal import Refused, SignerRefusal
from infra.wallet.signing_room import SigningRoom
from infra.wallet.transaction import Transaction, sender_of
from tests.infra.wallet.test_own_payments import HOT, OTHER, SEED

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ID, SENDER = "01a2208a-9725-754f-9239-03cad03667e7", "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"
KEYS = {name: Ed25519PrivateKey.generate() for name in ("marta", "piero", "twin")}
KEYS["twin"] = KEYS["marta"]
OFFICERS = {
    name: Officer(name, key.public_key().public_bytes_raw().hex()) for name, key in KEYS.items()
}
POLICY = SignerPolicy(31337, 3, {"ETH": AssetPolicy(None, 10**18, 10**18, 10**18)})
RETURN = Adjustment(
    adjustment_id=ID,
    postings=(Posting(suspense("ETH"), withdrawal_pending("ETH"), "ETH", 500),),
    reason="sent by mistake",
    event="deposit-ETH-0xab-native",
    expiry=int(NOW.timestamp()) + 3_600,
    proposed_by="olga",
    address=SENDER,
)
PAYS = Transaction(31337, 5, 1, 10**9, 21_000, SENDER, 500, b"")


def _approval(officer: str, said: Adjustment = RETURN, text: str = "") -> dict[str, str]:
    statement = text or said.statement()
    signature = KEYS[officer].sign(statement.encode()).hex()
    return asdict(Decision(officer, ADJUST, statement, signature))


def _order(*approvals: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "payment_id": ID,
        "kind": "return",
        "asset": "ETH",
        "amount": "500",
        "deposit_path": "",
        "destination": SENDER,
        "approvals": list(approvals or (_approval("marta"), _approval("piero"))),
        **changed,
    }


def _signer(tmp_path: Path, policy: SignerPolicy = POLICY) -> OwnPaymentSigner:
    journal = SignerJournal(tmp_path / "signed.jsonl")
    return OwnPaymentSigner(SEED, policy, journal, SigningRoom(journal), lambda: None, OFFICERS)


def test_two_officers_let_the_hot_wallet_pay_the_sender(tmp_path: Path) -> None:
    """It is signed by the hot wallet's key, and again, dearer, after the signatures expired."""
    signer = _signer(tmp_path)
    signed = signer.sign(_order(), PAYS.unsigned(), NOW)
    assert isinstance(signed, SignedTransaction)
    assert sender_of(signed.raw) == HOT
    dearer, later = replace(PAYS, max_fee=2 * 10**9), NOW + dt.timedelta(hours=2)
    assert isinstance(signer.sign(_order(), dearer.unsigned(), later), SignedTransaction)
    other = replace(PAYS, nonce=9)
    refused = signer.sign(_order(), other.unsigned(), later)
    assert refused == Refused(SignerRefusal.SIGNED_WITH_ANOTHER_NONCE)
    assert isinstance(_signer(tmp_path / "new").sign(_order(), PAYS.unsigned(), later), Refused)


def _reordered(said: str) -> str:
    fields = json.loads(said)
    return json.dumps(dict(reversed(fields.items())), separators=(",", ":"))


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (lambda: _order(_approval("marta")), SignerRefusal.TOO_FEW_APPROVALS),
        (lambda: _order(approvals=[]), SignerRefusal.TOO_FEW_APPROVALS),
        (lambda: _order(_approval("marta"), _approval("marta")), SignerRefusal.TOO_FEW_APPROVALS),
        (lambda: _order(_approval("marta"), _approval("twin")), SignerRefusal.TOO_FEW_APPROVALS),
        (lambda: _order(approvals="both"), SignerRefusal.MALFORMED_FIELD),
        (lambda: _order({"officer": "marta"}), SignerRefusal.MALFORMED_FIELD),
        (
            lambda: _order(_approval("marta"), _approval("piero") | {"officer": "nobody"}),
            SignerRefusal.INVALID_APPROVAL,
        ),
        (
            lambda: _order(_approval("marta"), _approval("marta") | {"officer": "piero"}),
            SignerRefusal.INVALID_APPROVAL,
        ),
        (
            lambda: _order(_approval("marta"), _approval("piero") | {"action": "approve"}),
            SignerRefusal.INVALID_APPROVAL,
        ),
        (
            lambda: _order(
                _approval("marta"), _approval("piero", text=_reordered(RETURN.statement()))
            ),
            SignerRefusal.INVALID_APPROVAL,
        ),
        (lambda: _order(amount="501"), SignerRefusal.INVALID_APPROVAL),
        (lambda: _order(destination=OTHER), SignerRefusal.INVALID_APPROVAL),
        (lambda: _order(payment_id=ID[:-1] + "8"), SignerRefusal.INVALID_APPROVAL),
        (lambda: _order(destination=HOT), SignerRefusal.ADDRESS_NOT_ALLOWED),
        (lambda: _order(destination=SENDER.lower()), SignerRefusal.INVALID_ADDRESS),
        (lambda: _order(destination="0x" + "0" * 40), SignerRefusal.INVALID_ADDRESS),
        (lambda: _order(deposit_path="m/1"), SignerRefusal.ADDRESS_NOT_ALLOWED),
        (lambda: _order(more=""), SignerRefusal.UNKNOWN_OR_MISSING_FIELD),
        (lambda: _order(kind="sweep"), SignerRefusal.UNKNOWN_OR_MISSING_FIELD),
    ],
)
def test_refuses_what_two_officers_have_not_signed(
    tmp_path: Path, order: Callable[[], dict[str, Any]], reason: SignerRefusal
) -> None:
    """One officer, one key twice, another amount, receiver, payment or text: nothing is signed."""
    checked = _signer(tmp_path).check(order(), NOW)
    assert isinstance(checked, Refused)
    assert checked.reason is reason


def test_signatures_of_a_release_pay_nobody(tmp_path: Path) -> None:
    """What was signed for a customer's main account is no order to pay an address."""
    to_bob = (Posting(suspense("ETH"), "customer:7:main:ETH", "ETH", 500),)
    for said in (replace(RETURN, postings=to_bob, address=""), replace(RETURN, postings=to_bob)):
        order = _order(_approval("marta", said), _approval("piero", said))
        checked = _signer(tmp_path).check(order, NOW)
        assert isinstance(checked, Refused)
        assert checked.reason is SignerRefusal.INVALID_APPROVAL


def test_the_signers_own_limits_and_list_hold_for_returns(tmp_path: Path) -> None:
    """Officers' signatures open neither; expired ones open nothing."""
    listed = replace(POLICY, allow_list=frozenset({OTHER}))
    refused = _signer(tmp_path, listed).check(_order(), NOW)
    assert refused == Refused(SignerRefusal.ADDRESS_NOT_ALLOWED, SENDER)
    small = replace(POLICY, assets={"ETH": AssetPolicy(None, 1, 499, 499)})
    refused = _signer(tmp_path, small).check(_order(), NOW)
    assert refused == Refused(SignerRefusal.HOURLY_AMOUNT_EXCEEDED)
    late = NOW + dt.timedelta(hours=2)
    refused = _signer(tmp_path).check(_order(), late)
    assert refused == Refused(SignerRefusal.INVALID_APPROVAL, "expired")
