"""The signer and payments between our own addresses: three ways, and no other."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from domain.hot_wallet import MAX_GAS_SUPPLY
from domain.signing_limits import Payment
from infra.wallet.erc20 import transfer_call
from infra.wallet.keys import HOT_WALLET_PATH, Seed, deposit_path
from infra.wallet.own_payments import OwnPaymentSigner
from infra.wallet.signer import SignedTransaction
from infra.wallet.signer_journal import SignerJournal
from infra.wallet.signer_policy import AssetPolicy, SignerPolicy
from infra.wallet.signer_refusal import Refused, SignerRefusal
from infra.wallet.signing_room import SigningRoom
from infra.wallet.transaction import Transaction, sender_of

SEED = Seed(bytes(range(32)))
HOT, DEPOSIT = SEED.address(HOT_WALLET_PATH), SEED.address(deposit_path(7))
COLD = "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"
OTHER = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"
USDT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
POLICY = SignerPolicy(
    31337,
    3,
    {
        "ETH": AssetPolicy(None, 10**18, 10**18, 10**19),
        "USDT": AssetPolicy(USDT, 10**9, 10**9, 10**9),
    },
)
SWEEP = {
    "payment_id": "01a2208a-9725-754f-9239-03cad03667e7",
    "kind": "sweep",
    "asset": "USDT",
    "amount": "500",
    "deposit_path": deposit_path(7),
    "destination": HOT,
}
GAS = SWEEP | {"kind": "gas", "asset": "ETH", "destination": DEPOSIT}
COLDER = SWEEP | {"kind": "cold", "deposit_path": "", "destination": COLD, "amount": str(10**12)}
TOKEN = Transaction(31337, 5, 1, 10**9, 65_000, USDT, 0, transfer_call(HOT, 500))
COINS = replace(TOKEN, to=DEPOSIT, value=500, data=b"", gas=26_250)


def _signer(
    tmp_path: Path, policy: SignerPolicy = POLICY, cold: str | None = COLD
) -> OwnPaymentSigner:
    journal = SignerJournal(tmp_path / "signed.jsonl")
    return OwnPaymentSigner(SEED, policy, journal, SigningRoom(journal), lambda: cold, {})


@pytest.mark.parametrize(
    ("order", "transaction", "sender"),
    [
        (SWEEP, TOKEN, DEPOSIT),
        (GAS, COINS, HOT),
        (COLDER, replace(TOKEN, data=transfer_call(COLD, 10**12)), HOT),
    ],
)
def test_signs_the_three_ways_by_the_right_key(
    tmp_path: Path, order: dict[str, str], transaction: Transaction, sender: str
) -> None:
    """Each is signed by the key of where the coins are; what goes cold has no limit of amounts."""
    signed = _signer(tmp_path).sign(order, transaction.unsigned(), NOW)
    assert isinstance(signed, SignedTransaction)
    assert sender_of(signed.raw) == sender


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (SWEEP | {"destination": OTHER}, SignerRefusal.ADDRESS_NOT_ALLOWED),
        (GAS | {"destination": OTHER}, SignerRefusal.ADDRESS_NOT_ALLOWED),
        (GAS | {"destination": SEED.address(deposit_path(8))}, SignerRefusal.ADDRESS_NOT_ALLOWED),
        (COLDER | {"destination": OTHER}, SignerRefusal.ADDRESS_NOT_ALLOWED),
        (COLDER | {"destination": HOT}, SignerRefusal.ADDRESS_NOT_ALLOWED),
        (SWEEP | {"deposit_path": HOT_WALLET_PATH}, SignerRefusal.MALFORMED_FIELD),
        (SWEEP | {"deposit_path": deposit_path(2**31)}, SignerRefusal.MALFORMED_FIELD),
        (SWEEP | {"deposit_path": deposit_path(7) + "'"}, SignerRefusal.MALFORMED_FIELD),
        (SWEEP | {"kind": "withdrawal"}, SignerRefusal.UNKNOWN_KIND),
        (SWEEP | {"kind": "refill"}, SignerRefusal.UNKNOWN_KIND),
        (SWEEP | {"asset": "DOGE"}, SignerRefusal.UNKNOWN_ASSET),
        (SWEEP | {"amount": "0"}, SignerRefusal.MALFORMED_FIELD),
        (SWEEP | {"amount": 500}, SignerRefusal.MALFORMED_FIELD),
        (SWEEP | {"more": ""}, SignerRefusal.UNKNOWN_OR_MISSING_FIELD),
        (GAS | {"asset": "USDT"}, SignerRefusal.GAS_SUPPLY_TOO_LARGE),
        (GAS | {"amount": str(MAX_GAS_SUPPLY + 1)}, SignerRefusal.GAS_SUPPLY_TOO_LARGE),
    ],
)
def test_refuses_every_other_way(
    tmp_path: Path, order: dict[str, object], reason: SignerRefusal
) -> None:
    """Whatever is asked, coins go between our own addresses."""
    checked = _signer(tmp_path).check(order, NOW)
    assert isinstance(checked, Refused)
    assert checked.reason is reason


@pytest.mark.parametrize(
    ("transaction", "reason"),
    [
        (replace(TOKEN, data=transfer_call(OTHER, 500)), SignerRefusal.WRONG_RECEIVER),
        (replace(TOKEN, data=transfer_call(HOT, 501)), SignerRefusal.WRONG_AMOUNT),
        (replace(TOKEN, to=OTHER), SignerRefusal.WRONG_CONTRACT),
        (replace(TOKEN, value=1), SignerRefusal.WRONG_CONTRACT),
        (replace(TOKEN, chain_id=1), SignerRefusal.WRONG_CHAIN),
        (replace(TOKEN, gas=150_001), SignerRefusal.FEE_TOO_HIGH),
        (replace(TOKEN, max_fee=10**12), SignerRefusal.FEE_TOO_HIGH),
        (replace(TOKEN, priority_fee=2 * 10**9), SignerRefusal.FEE_TOO_HIGH),
    ],
)
def test_bytes_must_be_the_order(
    tmp_path: Path, transaction: Transaction, reason: SignerRefusal
) -> None:
    """The bytes themselves are looked at, fees included."""
    assert _signer(tmp_path).sign(SWEEP, transaction.unsigned(), NOW) == Refused(reason)


def test_without_a_pinned_cold_address_nothing_goes_cold(tmp_path: Path) -> None:
    """Nobody else can name one."""
    checked = _signer(tmp_path, cold=None).check(COLDER, NOW)
    assert checked == Refused(SignerRefusal.NO_COLD_ADDRESS)


def test_nothing_is_paid_by_the_name_of_what_was_given_up(tmp_path: Path) -> None:
    """A withdrawal whose nonce was voided lends neither its name nor its nonce."""
    SignerJournal(tmp_path / "signed.jsonl").record_void(COINS.nonce, GAS["payment_id"], 1, b"")
    assert _signer(tmp_path).sign(GAS, COINS.unsigned(), NOW) == Refused(SignerRefusal.GIVEN_UP)


def test_nonces_and_limits_of_the_hot_wallet_are_the_withdrawals(tmp_path: Path) -> None:
    """Gas shares nonces and hourly amounts with what customers are paid; sweeps are counted."""
    signer = _signer(tmp_path)
    assert isinstance(signer.sign(GAS, COINS.unsigned(), NOW), SignedTransaction)
    again = GAS | {"payment_id": "01a2208a-9725-754f-9239-03cad03667e8"}
    assert signer.sign(again, COINS.unsigned(), NOW) == Refused(
        SignerRefusal.NONCE_OF_ANOTHER_WITHDRAWAL
    )
    changed = signer.check(GAS | {"amount": "501"}, NOW)
    assert changed == Refused(SignerRefusal.SIGNED_AS_ANOTHER_PAYMENT)
    poor = replace(POLICY, assets={"ETH": AssetPolicy(None, 10**18, 999, 10**19)})
    most = _signer(tmp_path, poor).check(again, NOW)
    assert most == Refused(SignerRefusal.HOURLY_AMOUNT_EXCEEDED)


def test_sweeps_are_counted_once_each_in_windows_of_their_own(tmp_path: Path) -> None:
    """A dearer transaction of one is no other; gas has its room whatever was swept."""
    signer = _signer(tmp_path)
    names = [f"01a2208a-9725-754f-9239-03cad03667e{digit}" for digit in "1234"]
    for name in names[:3]:
        for max_fee in (10**9, 2 * 10**9):
            dearer = replace(TOKEN, max_fee=max_fee)
            signed = signer.sign(SWEEP | {"payment_id": name}, dearer.unsigned(), NOW)
            assert isinstance(signed, SignedTransaction)
    more = SWEEP | {"payment_id": names[3]}
    assert signer.check(more, NOW) == Refused(SignerRefusal.TOO_MANY_SIGNATURES)
    assert not isinstance(signer.check(more, NOW + dt.timedelta(hours=1)), Refused)
    assert not isinstance(signer.check(GAS, NOW), Refused)


def test_what_is_checked_has_room_until_it_is_refused(tmp_path: Path) -> None:
    """Withdrawals and payments of ours keep room from each other; a refused order has none."""
    policy = replace(POLICY, assets={"ETH": AssetPolicy(None, 10**18, 999, 10**19)})
    journal = SignerJournal(tmp_path / "signed.jsonl")
    room = SigningRoom(journal)
    signer = OwnPaymentSigner(SEED, policy, journal, room, lambda: COLD, {})
    assert not isinstance(signer.check(GAS, NOW), Refused)
    other = Payment("another", "ETH", 500, OTHER, int(NOW.timestamp()))
    limits = policy.limits("ETH")
    assert room.keep(other, limits) == Refused(SignerRefusal.HOURLY_AMOUNT_EXCEEDED)
    assert isinstance(signer.check(GAS | {"destination": OTHER}, NOW), Refused)
    assert room.keep(other, limits) is None
