"""The signer believes nothing: each tampered field is refused, and nothing is signed twice over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.approval import APPROVE, Officer, Statement
from domain.signing_limits import RESERVED_SECONDS
from infra.wallet.erc20 import mint_call, transfer_call
from infra.wallet.keys import HOT_WALLET_PATH, Seed
from infra.wallet.officers import sign_statement
from infra.wallet.signer import SignedTransaction, Signer
from infra.wallet.signer_journal import MAX_NONCE_STEP, SignerJournal
from infra.wallet.signer_policy import AssetPolicy, SignerPolicy
from infra.wallet.signer_refusal import Refused, SignerRefusal
from infra.wallet.signing_room import SigningRoom
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
    signatures_per_hour=100,
    assets={
        "USDT": AssetPolicy(TOKEN, 1_000, amount_per_hour=100_000, amount_per_day=500_000),
        "ETH": AssetPolicy(None, 10**18, amount_per_hour=10**20, amount_per_day=10**21),
    },
)


def _signer(
    folder: Path, policy: SignerPolicy = POLICY, officers: dict[str, Officer] = OFFICERS
) -> Signer:
    journal = SignerJournal(folder / "signed.jsonl")
    return Signer(SEED, policy, officers, journal, SigningRoom(journal))


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
    from eth_account import Account

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
        ({"priority_fee": 4 * 10**9}, SignerRefusal.FEE_TOO_HIGH),
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


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"withdrawal_id": SECOND_ID}, SignerRefusal.INVALID_APPROVAL),
        ({"asset": "ETH"}, SignerRefusal.INVALID_APPROVAL),
        ({"amount": "5001"}, SignerRefusal.INVALID_APPROVAL),
        ({"address": OTHER}, SignerRefusal.INVALID_APPROVAL),
        ({"fee": "99"}, SignerRefusal.WRONG_AMOUNT),
        ({"note": "x"}, SignerRefusal.UNKNOWN_OR_MISSING_FIELD),
    ],
)
def test_order_changed_after_its_approval_is_refused(
    tmp_path: Path, changed: dict[str, Any], refusal: SignerRefusal
) -> None:
    """Each field that the officer saw is in what he signed; the fee is in the transaction."""
    order = _order(5_000, approvals=[_approval()])
    assert _refusal(_signer(tmp_path), order | changed, LARGE) is refusal
    assert isinstance(_refusal(_signer(tmp_path), order, LARGE), SignedTransaction)


def test_approval_of_the_requester_does_not_count(tmp_path: Path) -> None:
    """An officer with an account here cannot let his own coins out."""
    officers = OFFICERS | {"marta": replace(OFFICERS["marta"], customer_id=7)}
    signer = _signer(tmp_path, officers=officers)
    refused = signer.check(_order(5_000, approvals=[_approval()]), NOW)
    assert isinstance(refused, Refused)
    assert refused.detail == "marta: officer_is_requester"


def test_two_names_with_one_key_are_one_officer(tmp_path: Path) -> None:
    """Whoever writes the pins twice over has no second pair of eyes."""
    officers = OFFICERS | {"twin": replace(OFFICERS["marta"], name="twin")}
    signer = _signer(tmp_path, officers=officers)
    twins = [_approval(amount=20_000), _approval(amount=20_000) | {"officer": "twin"}]
    refused = signer.check(_order(20_000, approvals=twins), NOW)
    assert refused == Refused(SignerRefusal.INVALID_APPROVAL, "two officers have one key")


def test_approval_must_still_count_when_it_comes_to_signing(tmp_path: Path) -> None:
    """The check looks ahead: an approval that expires between leaves a nonce unused."""
    order = _order(5_000, approvals=[_approval(expiry=int(NOW.timestamp()) + 300)])
    signer = _signer(tmp_path)
    soon = signer.check(order, NOW, dt.timedelta(minutes=10))
    assert isinstance(soon, Refused)
    assert soon.detail == "marta: expired"
    assert not isinstance(signer.check(order, NOW), Refused)


def test_only_allowed_addresses_are_paid(tmp_path: Path) -> None:
    """Where the signer's own file names them."""
    closed = _signer(tmp_path, replace(POLICY, allow_list=frozenset({OTHER})))
    assert _refusal(closed, _order(), _transaction()) is SignerRefusal.ADDRESS_NOT_ALLOWED
    opened = replace(POLICY, allow_list=frozenset({RECEIVER}))
    paid = _refusal(_signer(tmp_path, opened), _order(), _transaction())
    assert isinstance(paid, SignedTransaction)


def _limited(**limits: int) -> SignerPolicy:
    usdt = {"amount_per_hour": 10**6, "amount_per_day": 10**6} | limits
    signatures = usdt.pop("signatures_per_hour", 100)
    assets = {"USDT": AssetPolicy(TOKEN, 1_000, **usdt)}
    return replace(POLICY, signatures_per_hour=signatures, assets=assets)


@pytest.mark.parametrize(
    ("limits", "refusal", "passes_after"),
    [
        ({"signatures_per_hour": 1}, SignerRefusal.TOO_MANY_SIGNATURES, 3_600),
        ({"amount_per_hour": 1_799}, SignerRefusal.HOURLY_AMOUNT_EXCEEDED, 3_600),
        ({"amount_per_day": 1_799}, SignerRefusal.DAILY_AMOUNT_EXCEEDED, 86_400),
    ],
)
def test_own_windows_hold_across_a_restart(
    tmp_path: Path, limits: dict[str, int], refusal: SignerRefusal, passes_after: int
) -> None:
    """Whoever owns the rest of the exchange still gets only so much, and a restart forgets nothing.

    The first payment may be signed again, since it was counted.
    """
    policy = _limited(**limits)
    first = _signer(tmp_path, policy).sign(_order(), _transaction().unsigned(), NOW)
    assert isinstance(first, SignedTransaction)
    second = (_order(withdrawal_id=SECOND_ID), _transaction(nonce=5).unsigned())
    just_before = NOW + dt.timedelta(seconds=passes_after - 1)
    restarted = _signer(tmp_path, policy)
    assert restarted.sign(_order(), _transaction().unsigned(), just_before) == first
    refused = restarted.sign(*second, just_before)
    assert isinstance(refused, Refused)
    assert refused.reason is refusal
    passed = restarted.sign(*second, NOW + dt.timedelta(seconds=passes_after))
    assert isinstance(passed, SignedTransaction)


def test_clock_that_is_set_back_opens_no_window(tmp_path: Path) -> None:
    """What was signed in the future counts as just now."""
    signer = _signer(tmp_path, _limited(signatures_per_hour=1))
    signer.sign(_order(), _transaction().unsigned(), NOW)
    yesterday = NOW - dt.timedelta(days=1)
    refused = signer.check(_order(withdrawal_id=SECOND_ID), yesterday)
    assert refused == Refused(SignerRefusal.TOO_MANY_SIGNATURES)


def test_check_keeps_room_for_the_signature(tmp_path: Path) -> None:
    """A nonce is given out after the check: another order must not take the room meanwhile."""
    signer = _signer(tmp_path, _limited(signatures_per_hour=1))
    assert not isinstance(signer.check(_order(), NOW), Refused)
    other = _order(withdrawal_id=SECOND_ID)
    assert signer.check(other, NOW) == Refused(SignerRefusal.TOO_MANY_SIGNATURES)
    assert isinstance(_refusal(signer, _order(), _transaction()), SignedTransaction)

    (tmp_path / "later").mkdir()
    later = _signer(tmp_path / "later", _limited(signatures_per_hour=1))
    assert not isinstance(later.check(_order(), NOW), Refused)
    given_up = NOW + dt.timedelta(seconds=RESERVED_SECONDS)
    assert not isinstance(later.check(other, given_up), Refused)


def test_withdrawal_is_never_signed_as_another_payment(tmp_path: Path) -> None:
    """Not even at its own nonce and with good approvals for the other amount."""
    signer = _signer(tmp_path)
    assert isinstance(_refusal(signer, _order(), _transaction()), SignedTransaction)
    order = _order(5_000, approvals=[_approval()])
    assert _refusal(signer, order, LARGE) is SignerRefusal.SIGNED_AS_ANOTHER_PAYMENT


def test_nonce_far_ahead_is_refused(tmp_path: Path) -> None:
    """It would wait for nonces that nobody will use, with the customer's coins."""
    signer = _signer(tmp_path)
    assert isinstance(_refusal(signer, _order(), _transaction()), SignedTransaction)
    second = _order(withdrawal_id=SECOND_ID)
    far = _transaction(nonce=4 + MAX_NONCE_STEP + 1)
    assert _refusal(signer, second, far) is SignerRefusal.NONCE_TOO_FAR
    near = _transaction(nonce=4 + MAX_NONCE_STEP)
    assert isinstance(_refusal(signer, second, near), SignedTransaction)
