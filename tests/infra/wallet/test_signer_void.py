"""Voids: what the signer checks before it uses a nonce up for nothing, and what follows from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.approval import VOID, Officer
from domain.signing_limits import Payment
from infra.wallet.keys import HOT_WALLET_PATH
from infra.wallet.signer import SignedTransaction, Signer
from infra.wallet.signer_journal import MAX_NONCE_STEP, SignerJournal
from infra.wallet.signer_refusal import Refused, SignerRefusal
from infra.wallet.signing_room import SigningRoom
from infra.wallet.transaction import decode_signed, is_void, sender_of
from tests.infra.wallet.test_signer import (
    FIRST_ID,
    NOW,
    OFFICERS,
    OTHER,
    POLICY,
    RECEIVER,
    SECOND_ID,
    SEED,
    _approval,
    _order,
    _refusal,
    _signer,
    _transaction,
)

HOT = SEED.address(HOT_WALLET_PATH)
NONCE = 4


def _signature(officer: str = "marta", **changed: Any) -> dict[str, str]:
    fields: dict[str, Any] = {"amount": 900, "action": VOID, "nonce": NONCE}
    return _approval(officer, **(fields | changed))


def _void_order(**changed: Any) -> dict[str, Any]:
    order = {
        "withdrawal_id": FIRST_ID,
        "customer_id": 7,
        "asset": "USDT",
        "amount": "900",
        "address": RECEIVER,
        "nonce": NONCE,
        "decisions": [_signature("marta"), _signature("piero")],
    }
    return order | changed


VOID_TX = _transaction(nonce=NONCE, to=HOT, value=0, data=b"", gas=21_000, max_fee=4 * 10**9)


def _refused(signer: Signer, order: dict[str, Any], transaction: Any = VOID_TX) -> object:
    answer = signer.sign_void(order, transaction.unsigned(), NOW)
    return answer.reason if isinstance(answer, Refused) else answer


@pytest.mark.parametrize("was_signed", [True, False])
def test_void_of_a_nonce_is_signed_whether_its_payment_was_or_not(
    tmp_path: Path, was_signed: bool
) -> None:
    """It pays nobody, at the withdrawal's nonce; signing it again gives the same bytes."""
    signer = _signer(tmp_path)
    if was_signed:
        assert isinstance(_refusal(signer, _order(), _transaction()), SignedTransaction)
    signed = signer.sign_void(_void_order(), VOID_TX.unsigned(), NOW)
    assert isinstance(signed, SignedTransaction)
    assert is_void(decode_signed(signed.raw), HOT)
    assert sender_of(signed.raw) == HOT
    assert _signer(tmp_path).sign_void(_void_order(), VOID_TX.unsigned(), NOW) == signed


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"chain_id": 1}, SignerRefusal.WRONG_CHAIN),
        ({"max_fee": 5 * 10**12}, SignerRefusal.FEE_TOO_HIGH),
        ({"priority_fee": 5 * 10**9}, SignerRefusal.FEE_TOO_HIGH),
        ({"to": RECEIVER}, SignerRefusal.NOT_A_VOID),
        ({"value": 1}, SignerRefusal.NOT_A_VOID),
        ({"data": b"x"}, SignerRefusal.NOT_A_VOID),
        ({"gas": 21_001}, SignerRefusal.NOT_A_VOID),
        ({"nonce": NONCE + 1}, SignerRefusal.WRONG_NONCE),
    ],
)
def test_what_is_not_that_void_is_refused(
    tmp_path: Path, changed: dict[str, Any], refusal: SignerRefusal
) -> None:
    """Under the name of a void nothing else leaves the wallet."""
    assert _refused(_signer(tmp_path), _void_order(), replace(VOID_TX, **changed)) is refusal


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        (lambda: {"note": "x"}, SignerRefusal.UNKNOWN_OR_MISSING_FIELD),
        (lambda: {"decisions": "none"}, SignerRefusal.UNKNOWN_OR_MISSING_FIELD),
        (lambda: {"nonce": "4"}, SignerRefusal.MALFORMED_FIELD),
        (lambda: {"nonce": True}, SignerRefusal.MALFORMED_FIELD),
        (lambda: {"nonce": -1}, SignerRefusal.MALFORMED_FIELD),
        (lambda: {"nonce": 5}, SignerRefusal.INVALID_APPROVAL),
        (lambda: {"withdrawal_id": SECOND_ID}, SignerRefusal.INVALID_APPROVAL),
        (lambda: {"asset": "ETH"}, SignerRefusal.INVALID_APPROVAL),
        (lambda: {"amount": "901"}, SignerRefusal.INVALID_APPROVAL),
        (lambda: {"address": OTHER}, SignerRefusal.INVALID_APPROVAL),
        (lambda: {"decisions": []}, SignerRefusal.TOO_FEW_APPROVALS),
        (lambda: {"decisions": [_signature()]}, SignerRefusal.TOO_FEW_APPROVALS),
        (lambda: {"decisions": [_signature(), _signature()]}, SignerRefusal.INVALID_APPROVAL),
        (
            lambda: {"decisions": [_signature(), _approval("piero", 900)]},
            SignerRefusal.INVALID_APPROVAL,
        ),
        (
            lambda: {"decisions": [_signature(), _signature("piero", nonce=None)]},
            SignerRefusal.INVALID_APPROVAL,
        ),
        (
            lambda: {"decisions": [_signature(), _signature("piero", expiry=int(NOW.timestamp()))]},
            SignerRefusal.INVALID_APPROVAL,
        ),
    ],
)
def test_order_that_two_officers_have_not_signed_is_refused(
    tmp_path: Path, changed: Callable[[], dict[str, Any]], refusal: SignerRefusal
) -> None:
    """Each field is in what they signed, the nonce too; one officer alone voids nothing."""
    assert _refused(_signer(tmp_path), _void_order() | changed()) is refusal


def _with(officers: Mapping[str, Officer], journal: SignerJournal) -> Signer:
    return Signer(SEED, POLICY, officers, journal, SigningRoom(journal))


def test_two_names_with_one_key_void_nothing(tmp_path: Path) -> None:
    """Nor does an officer whose own withdrawal it is."""
    journal = SignerJournal(tmp_path / "signed.jsonl")
    twins = OFFICERS | {"twin": replace(OFFICERS["marta"], name="twin")}
    order = _void_order(decisions=[_signature(), _signature() | {"officer": "twin"}])
    assert _refused(_with(twins, journal), order) is SignerRefusal.INVALID_APPROVAL
    own = OFFICERS | {"piero": replace(OFFICERS["piero"], customer_id=7)}
    refused = _refused(_with(own, journal), _void_order())
    assert refused is SignerRefusal.INVALID_APPROVAL


def test_nonce_of_another_withdrawal_is_not_voided(tmp_path: Path) -> None:
    """Not with good signatures either: the journal knows whose it is."""
    signer = _signer(tmp_path)
    assert isinstance(_refusal(signer, _order(), _transaction()), SignedTransaction)
    both = [_signature(name, withdrawal_id=SECOND_ID) for name in ("marta", "piero")]
    other = _void_order(withdrawal_id=SECOND_ID, decisions=both)
    assert _refused(signer, other) is SignerRefusal.NONCE_OF_ANOTHER_WITHDRAWAL

    def at(nonce: int) -> object:
        signed = [_signature(name, nonce=nonce) for name in ("marta", "piero")]
        order = _void_order(nonce=nonce, decisions=signed)
        return _refused(signer, order, replace(VOID_TX, nonce=nonce))

    assert at(5) is SignerRefusal.SIGNED_WITH_ANOTHER_NONCE
    assert isinstance(at(NONCE), SignedTransaction)

    far = NONCE + MAX_NONCE_STEP + 1
    both = [_signature(name, withdrawal_id=SECOND_ID, nonce=far) for name in ("marta", "piero")]
    order = _void_order(withdrawal_id=SECOND_ID, nonce=far, decisions=both)
    assert _refused(signer, order, replace(VOID_TX, nonce=far)) is SignerRefusal.NONCE_TOO_FAR


def test_void_must_name_the_payment_that_was_signed(tmp_path: Path) -> None:
    """Officers who were shown another amount have decided about something else."""
    signer = _signer(tmp_path)
    assert isinstance(_refusal(signer, _order(), _transaction()), SignedTransaction)
    both = [_signature(name, amount=901) for name in ("marta", "piero")]
    refused = _refused(signer, _void_order(amount="901", decisions=both))
    assert refused is SignerRefusal.SIGNED_AS_ANOTHER_PAYMENT


def test_nothing_is_paid_after_a_void(tmp_path: Path) -> None:
    """Not at its nonce, not at another, and not after a restart; a dearer void is signed."""
    signer = _signer(tmp_path)
    assert isinstance(_refusal(signer, _order(), _transaction()), SignedTransaction)
    assert isinstance(_refused(signer, _void_order()), SignedTransaction)
    for again in (signer, _signer(tmp_path)):
        refused = again.check(_order(), NOW, dt.timedelta())
        assert refused == Refused(SignerRefusal.GIVEN_UP)
        for nonce in (NONCE, NONCE + 1):
            payment = _transaction(nonce=nonce)
            assert _refusal(again, _order(), payment) is SignerRefusal.GIVEN_UP
        dearer = replace(VOID_TX, max_fee=5 * 10**9)
        assert isinstance(_refused(again, _void_order(), dearer), SignedTransaction)
    other = _refusal(signer, _order(withdrawal_id=SECOND_ID), _transaction(nonce=5))
    assert isinstance(other, SignedTransaction)


def test_a_payment_of_ours_is_given_up_just_so(tmp_path: Path) -> None:
    """What went cold stands in the journal under a mark of its own, and is the same payment."""
    cold = Payment(FIRST_ID, "cold:USDT", 900, RECEIVER, int(NOW.timestamp()))
    SignerJournal(tmp_path / "signed.jsonl").record(NONCE, cold, b"")
    order = _void_order(customer_id=0)
    assert isinstance(_refused(_signer(tmp_path), order), SignedTransaction)
    SignerJournal(tmp_path / "other.jsonl").record(NONCE, replace(cold, asset="ETH"), b"")
    journal = SignerJournal(tmp_path / "other.jsonl")
    assert _refused(_with(OFFICERS, journal), order) is SignerRefusal.SIGNED_AS_ANOTHER_PAYMENT
