"""The signer believes nothing: each tampered field is refused, and nothing is signed twice over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account

from domain.approval import APPROVE, Officer, Statement
from infra.wallet.erc20 import mint_call, transfer_call
from infra.wallet.keys import HOT_WALLET_PATH, Seed
from infra.wallet.officers import sign_statement
from infra.wallet.signer import (
    AssetPolicy,
    Refused,
    SignedTransaction,
    Signer,
    SignerJournal,
    SignerPolicy,
    SignerRefusal,
)
from infra.wallet.transaction import Transaction, decode_signed, sender_of

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SEED = Seed(bytes(range(32)))
OFFICER_KEYS = {name: Ed25519PrivateKey.generate() for name in ("marta", "piero")}
OFFICERS = {
    name: Officer(name, key.public_key().public_bytes_raw().hex())
    for name, key in OFFICER_KEYS.items()
}
TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
RECEIVER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
OTHER = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
FIRST_ID = "01234567-89ab-4cde-8123-456789abcdef"
SECOND_ID = "11234567-89ab-4cde-8123-456789abcdef"
POLICY = SignerPolicy(
    chain_id=31337,
    assets={"USDT": AssetPolicy(TOKEN, 1_000), "ETH": AssetPolicy(None, 10**18)},
)


def _signer(folder: Path) -> Signer:
    return Signer(SEED, POLICY, OFFICERS, SignerJournal(folder / "signed.jsonl"))


def _order(amount: int = 900, **changed: Any) -> dict[str, Any]:
    order = {
        "withdrawal_id": FIRST_ID,
        "customer_id": 7,
        "asset": "USDT",
        "amount": str(amount),
        "fee": "100",
        "address": RECEIVER,
        "approvals": [],
    }
    return order | changed


def _approval(officer: str = "marta", amount: int = 5_000, **changed: Any) -> dict[str, str]:
    fields: dict[str, Any] = {
        "withdrawal_id": FIRST_ID,
        "action": APPROVE,
        "asset": "USDT",
        "amount": amount,
        "address": RECEIVER,
        "expiry": int(NOW.timestamp()) + 3600,
    }
    statement = Statement(**(fields | changed))
    return asdict(sign_statement(OFFICER_KEYS[officer], officer, statement))


def _transaction(**changed: Any) -> Transaction:
    plain = Transaction(
        chain_id=31337,
        nonce=4,
        priority_fee=10**9,
        max_fee=3 * 10**9,
        gas=60_000,
        to=TOKEN,
        value=0,
        data=transfer_call(RECEIVER, 800),
    )
    return replace(plain, **changed)


def _refusal(signer: Signer, order: dict[str, Any], transaction: Transaction) -> object:
    answer = signer.sign(order, transaction.unsigned(), NOW)
    return answer.reason if isinstance(answer, Refused) else answer


def test_good_order_is_signed_by_the_hot_key(tmp_path: Path) -> None:
    """The raw transaction does what was ordered and comes from the hot wallet."""
    signed = _signer(tmp_path).sign(_order(), _transaction().unsigned(), NOW)
    assert isinstance(signed, SignedTransaction)
    assert decode_signed(signed.raw) == _transaction()
    hot = Account.from_key(SEED.private_key(HOT_WALLET_PATH)).address
    assert sender_of(signed.raw) == hot == SEED.public().hot_address


def test_chains_own_coin_is_paid_plainly(tmp_path: Path) -> None:
    """No call data, the net amount as value, straight to the receiver."""
    order = _order(10**17, asset="ETH", fee=str(10**15))
    good = _transaction(to=RECEIVER, value=10**17 - 10**15, data=b"", gas=21_000)
    signer = _signer(tmp_path)
    assert _refusal(signer, order, replace(good, to=OTHER)) is SignerRefusal.WRONG_RECEIVER
    assert _refusal(signer, order, replace(good, data=b"x")) is SignerRefusal.WRONG_RECEIVER
    assert _refusal(signer, order, replace(good, value=10**17)) is SignerRefusal.WRONG_AMOUNT
    assert isinstance(_refusal(signer, order, good), SignedTransaction)


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"chain_id": 1}, SignerRefusal.WRONG_CHAIN),
        ({"gas": 10**7}, SignerRefusal.FEE_TOO_HIGH),
        ({"max_fee": 10**14}, SignerRefusal.FEE_TOO_HIGH),
        ({"to": OTHER}, SignerRefusal.WRONG_CONTRACT),
        ({"value": 1}, SignerRefusal.WRONG_CONTRACT),
        ({"data": transfer_call(OTHER, 800)}, SignerRefusal.WRONG_RECEIVER),
        ({"data": transfer_call(RECEIVER, 801)}, SignerRefusal.WRONG_AMOUNT),
        ({"data": mint_call(RECEIVER, 800)}, SignerRefusal.WRONG_RECEIVER),
        ({"data": transfer_call(RECEIVER, 800) + b"\0"}, SignerRefusal.WRONG_RECEIVER),
        ({"data": b""}, SignerRefusal.WRONG_RECEIVER),
    ],
)
def test_tampered_transaction_is_refused(
    tmp_path: Path, changed: dict[str, Any], refusal: SignerRefusal
) -> None:
    """The bytes are decoded; what the order says does not help them."""
    assert _refusal(_signer(tmp_path), _order(), _transaction(**changed)) is refusal


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"note": "hello"}, SignerRefusal.UNKNOWN_OR_MISSING_FIELD),
        ({"withdrawal_id": "../etc"}, SignerRefusal.MALFORMED_FIELD),
        ({"customer_id": "7"}, SignerRefusal.MALFORMED_FIELD),
        ({"customer_id": True}, SignerRefusal.MALFORMED_FIELD),
        ({"amount": 900}, SignerRefusal.MALFORMED_FIELD),
        ({"amount": "9e2"}, SignerRefusal.MALFORMED_FIELD),
        ({"amount": "-900"}, SignerRefusal.MALFORMED_FIELD),
        ({"asset": "DOGE"}, SignerRefusal.UNKNOWN_ASSET),
        ({"fee": "900"}, SignerRefusal.AMOUNT_NOT_ABOVE_FEE),
        ({"fee": "0"}, SignerRefusal.WRONG_AMOUNT),
        ({"amount": "901"}, SignerRefusal.WRONG_AMOUNT),
        ({"address": RECEIVER.lower()}, SignerRefusal.INVALID_ADDRESS),
        ({"address": OTHER}, SignerRefusal.WRONG_RECEIVER),
        ({"asset": "ETH"}, SignerRefusal.WRONG_RECEIVER),
        ({"approvals": "none"}, SignerRefusal.UNKNOWN_OR_MISSING_FIELD),
        ({"approvals": [{"officer": "marta"}]}, SignerRefusal.UNKNOWN_OR_MISSING_FIELD),
        (
            {"approvals": [{**_approval(), "signature_hex": 5}]},
            SignerRefusal.MALFORMED_FIELD,
        ),
    ],
)
def test_tampered_order_is_refused(
    tmp_path: Path, changed: dict[str, Any], refusal: SignerRefusal
) -> None:
    """Unknown fields, wrong types, and fields that do not fit the transaction."""
    assert _refusal(_signer(tmp_path), _order() | changed, _transaction()) is refusal


def test_missing_field_is_refused(tmp_path: Path) -> None:
    """No field has a default."""
    for name in _order():
        order = {key: value for key, value in _order().items() if key != name}
        refused = _refusal(_signer(tmp_path), order, _transaction())
        assert refused is SignerRefusal.UNKNOWN_OR_MISSING_FIELD


LARGE = _transaction(data=transfer_call(RECEIVER, 4_900))


@pytest.mark.parametrize(
    ("approvals", "refusal"),
    [
        (list, SignerRefusal.TOO_FEW_APPROVALS),
        (lambda: [_approval(amount=5_001)], SignerRefusal.INVALID_APPROVAL),
        (lambda: [_approval(address=OTHER)], SignerRefusal.INVALID_APPROVAL),
        (lambda: [_approval(withdrawal_id=SECOND_ID)], SignerRefusal.INVALID_APPROVAL),
        (lambda: [_approval(action="reject")], SignerRefusal.INVALID_APPROVAL),
        (lambda: [_approval(expiry=int(NOW.timestamp()))], SignerRefusal.INVALID_APPROVAL),
        (lambda: [_approval() | {"officer": "piero"}], SignerRefusal.INVALID_APPROVAL),
        (lambda: [_approval() | {"officer": "mallory"}], SignerRefusal.INVALID_APPROVAL),
        (lambda: [_approval() | {"signature_hex": ""}], SignerRefusal.INVALID_APPROVAL),
        (lambda: [_approval(), _approval()], SignerRefusal.INVALID_APPROVAL),
    ],
)
def test_large_payment_needs_valid_approvals(
    tmp_path: Path, approvals: Callable[[], list[dict[str, str]]], refusal: SignerRefusal
) -> None:
    """The signer counts signatures by its own file, whatever the workflow believes."""
    order = _order(5_000, approvals=approvals())
    assert _refusal(_signer(tmp_path), order, LARGE) is refusal


def test_one_approval_suffices_up_to_ten_times_the_threshold(tmp_path: Path) -> None:
    """Above that two officers must have signed."""
    signer = _signer(tmp_path)
    one = _order(5_000, approvals=[_approval()])
    assert isinstance(_refusal(signer, one, LARGE), SignedTransaction)

    huge = _transaction(nonce=5, data=transfer_call(RECEIVER, 19_900))
    order = _order(20_000, withdrawal_id=SECOND_ID)
    both = [_approval(name, amount=20_000, withdrawal_id=SECOND_ID) for name in ("marta", "piero")]
    refused = _refusal(signer, order | {"approvals": both[:1]}, huge)
    assert refused is SignerRefusal.TOO_FEW_APPROVALS
    assert isinstance(_refusal(signer, order | {"approvals": both}, huge), SignedTransaction)


def test_same_payment_signs_to_the_same_hash(tmp_path: Path) -> None:
    """A signature that was lost on its way is made again, not another one."""
    signer = _signer(tmp_path)
    first = signer.sign(_order(), _transaction().unsigned(), NOW)
    assert signer.sign(_order(), _transaction().unsigned(), NOW) == first


def test_no_second_nonce_and_no_shared_nonce(tmp_path: Path) -> None:
    """The journal survives a restart: a withdrawal is paid at one nonce, a nonce pays one."""
    assert isinstance(_refusal(_signer(tmp_path), _order(), _transaction()), SignedTransaction)
    restarted = _signer(tmp_path)
    again = _refusal(restarted, _order(), _transaction(nonce=5))
    assert again is SignerRefusal.SIGNED_WITH_ANOTHER_NONCE
    shared = _refusal(restarted, _order(withdrawal_id=SECOND_ID), _transaction())
    assert shared is SignerRefusal.NONCE_OF_ANOTHER_WITHDRAWAL


def test_torn_line_of_the_journal_is_dropped(tmp_path: Path) -> None:
    """A line that a crash cut off was never followed by a signature."""
    signer = _signer(tmp_path)
    signer.sign(_order(), _transaction().unsigned(), NOW)
    path = tmp_path / "signed.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"nonce": 5, "withdr')
    restarted = _signer(tmp_path)
    assert path.read_text() == whole
    second = _refusal(restarted, _order(withdrawal_id=SECOND_ID), _transaction(nonce=5))
    assert isinstance(second, SignedTransaction)
    assert len(path.read_text().splitlines()) == 2


def test_check_says_no_before_a_nonce_is_spent(tmp_path: Path) -> None:
    """The same rules, without a transaction."""
    signer = _signer(tmp_path)
    refused = signer.check(_order(5_000), NOW)
    assert isinstance(refused, Refused)
    assert refused.reason is SignerRefusal.TOO_FEW_APPROVALS
    assert not isinstance(signer.check(_order(), NOW), Refused)
