"""The cold wallet: signs what its files allow, on a machine that has nothing else."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.cold_refill import (
    MAX_PAYMENTS,
    ColdPolicy,
    RefillPayment,
    RefillRefusal,
    RefillRequest,
    checksum,
)
from infra.wallet.cold_wallet import (
    ColdWalletError,
    cold_seed_path,
    create_cold_wallet,
    load_cold_policy,
    read_request,
    read_signed,
    sign_refill,
    transactions_of,
)
from infra.wallet.transaction import decode_signed, sender_of
from infra.wallet.vault import VaultError

WORDS = b"words that nobody guesses"
HOT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
OTHER = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


@pytest.fixture
def policy(tmp_path: Path) -> ColdPolicy:
    """Make a cold wallet in the test's folder."""
    return create_cold_wallet(tmp_path, WORDS, hot_address=HOT, chain_id=31337)


def _request(policy: ColdPolicy, **changed: Any) -> RefillRequest:
    plain = RefillRequest(
        chain_id=31337,
        sender=policy.address,
        receiver=HOT,
        nonce=4,
        max_fee=3 * 10**9,
        priority_fee=10**9,
        payments=(
            RefillPayment("ETH", None, 18, 5 * 10**18, 21_000),
            RefillPayment("USDT", TOKEN, 6, 2_500_000, 100_000),
        ),
    )
    return replace(plain, **changed)


def test_request_is_signed_as_it_reads(tmp_path: Path, policy: ColdPolicy) -> None:
    """One file with a transaction for each payment, at consecutive nonces, by the cold key."""
    asked = _request(policy)
    request = read_request(asked.text(), policy)
    assert request == asked
    back, raws = read_signed(sign_refill(tmp_path, asked, WORDS))
    assert back == asked
    assert [decode_signed(raw) for raw in raws] == transactions_of(asked)
    assert {sender_of(raw) for raw in raws} == {policy.address}
    first, second = (decode_signed(raw) for raw in raws)
    assert (first.nonce, first.to, first.value, first.data) == (4, HOT, 5 * 10**18, b"")
    assert (second.nonce, second.to, second.value) == (5, TOKEN, 0)


def test_words_say_all_that_is_signed(policy: ColdPolicy) -> None:
    """Both addresses, chain, each amount with its token, nonces, and what it may cost."""
    text = "\n".join(_request(policy).in_words())
    for word in (policy.address, HOT, "31337", "5 ETH", "2.5 USDT", TOKEN, "nonce 4", "nonce 5"):
        assert word in text
    assert "0.000063 of the chain's coin at most" in text


def test_wallet_is_private_and_never_replaced(tmp_path: Path, policy: ColdPolicy) -> None:
    """Its seed is sealed; what it pins is read again."""
    assert load_cold_policy(tmp_path) == policy
    assert stat.S_IMODE(cold_seed_path(tmp_path).stat().st_mode) == 0o600
    with pytest.raises(ColdWalletError, match="never replaced"):
        create_cold_wallet(tmp_path, WORDS, hot_address=HOT, chain_id=31337)
    with pytest.raises(ColdWalletError, match="checksum form"):
        create_cold_wallet(tmp_path / "other", WORDS, hot_address=HOT.lower(), chain_id=1)


def test_wrong_passphrase_signs_nothing(tmp_path: Path, policy: ColdPolicy) -> None:
    """And says so."""
    with pytest.raises(VaultError, match="wrong_passphrase"):
        sign_refill(tmp_path, _request(policy), WORDS + b"?")


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"chain_id": 1}, RefillRefusal.ANOTHER_CHAIN),
        ({"sender": OTHER}, RefillRefusal.ANOTHER_SENDER),
        ({"receiver": OTHER}, RefillRefusal.ANOTHER_RECEIVER),
        ({"receiver": HOT.lower()}, RefillRefusal.INVALID_ADDRESS),
        ({"payments": ()}, RefillRefusal.NO_PAYMENTS),
        ({"priority_fee": 4 * 10**9}, RefillRefusal.FEE_TOO_HIGH),
        ({"max_fee": 10**13}, RefillRefusal.FEE_TOO_HIGH),
        ({"nonce": -1}, RefillRefusal.MALFORMED_FIELD),
        (
            {"payments": (RefillPayment("ETH", None, 18, 0, 21_000),)},
            RefillRefusal.NOTHING_TO_PAY,
        ),
        (
            {"payments": (RefillPayment("ETH", None, 18, 1, 21_000),) * (MAX_PAYMENTS + 1)},
            RefillRefusal.TOO_MANY_PAYMENTS,
        ),
        (
            {"payments": (RefillPayment("ETH", None, 19, 1, 21_000),)},
            RefillRefusal.MALFORMED_FIELD,
        ),
    ],
)
def test_request_that_is_not_to_be_signed(
    policy: ColdPolicy, changed: dict[str, Any], refusal: RefillRefusal
) -> None:
    """Whoever writes the file decides neither whom it pays nor what it burns."""
    assert read_request(_request(policy, **changed).text(), policy) is refusal


def _with_checksum(fields: dict[str, Any]) -> str:
    return json.dumps(fields | {"checksum": checksum(fields)})


def test_damaged_or_foreign_files_are_refused(policy: ColdPolicy) -> None:
    """Each by its own name."""
    fields = json.loads(_request(policy).text())
    assert read_request("{", policy) is RefillRefusal.NOT_A_REQUEST
    assert read_request("{}", policy) is RefillRefusal.NOT_A_REQUEST
    later = _with_checksum(fields | {"version": 2})
    assert read_request(later, policy) is RefillRefusal.UNKNOWN_VERSION
    more = _with_checksum(fields | {"note": "x"})
    assert read_request(more, policy) is RefillRefusal.UNKNOWN_OR_MISSING_FIELD
    damaged = json.dumps(fields | {"nonce": 5})
    assert read_request(damaged, policy) is RefillRefusal.WRONG_CHECKSUM
    number = _with_checksum(fields | {"max_fee": 5})
    assert read_request(number, policy) is RefillRefusal.MALFORMED_FIELD


def test_signed_file_that_was_changed_is_refused(tmp_path: Path, policy: ColdPolicy) -> None:
    """What comes back is decoded again: a good checksum over other bytes helps nobody."""
    asked = _request(policy)
    fields = json.loads(sign_refill(tmp_path, asked, WORDS))
    other = json.loads(sign_refill(tmp_path, _request(policy, nonce=9), WORDS))
    with pytest.raises(ColdWalletError, match="damaged"):
        read_signed(json.dumps(fields | {"raw": other["raw"]}))
    with pytest.raises(ColdWalletError, match="transaction 1 is not what the request says"):
        read_signed(_with_checksum(fields | {"raw": other["raw"]}))
    with pytest.raises(ColdWalletError, match="another number"):
        read_signed(_with_checksum(fields | {"raw": fields["raw"][:1]}))
    with pytest.raises(ColdWalletError, match="cannot be read"):
        read_signed(_with_checksum(fields | {"raw": ["00", "zz"]}))
    with pytest.raises(ColdWalletError, match="no signed refill"):
        read_signed(asked.text())
