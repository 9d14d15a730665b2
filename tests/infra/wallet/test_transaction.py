"""Transactions: our encoding against another library's, and what the decoder refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_keys.datatypes import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from domain.evm_address import checksum_address
from infra.wallet.erc20 import parse_transfer_call, transfer_call
from infra.wallet.keccak import keccak256
from infra.wallet.transaction import (
    MalformedTransactionError,
    Transaction,
    decode_signed,
    decode_unsigned,
    rlp_encode,
    sender_of,
    transaction_hash,
)

KEY = b"\x01" * 32
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
PLAIN = Transaction(
    chain_id=31337,
    nonce=0,
    priority_fee=10**9,
    max_fee=3 * 10**9,
    gas=21_000,
    to=ADDRESS,
    value=10**18,
    data=b"",
)


def _signed(transaction: Transaction) -> bytes:
    signature = PrivateKey(KEY).sign_msg_hash(transaction.signing_hash())
    return transaction.signed(signature.v, signature.r, signature.s)


transactions = st.builds(
    Transaction,
    chain_id=st.integers(1, 2**32),
    nonce=st.integers(0, 2**40),
    priority_fee=st.integers(0, 2**60),
    max_fee=st.integers(0, 2**60),
    gas=st.integers(21_000, 10**7),
    to=st.binary(min_size=20, max_size=20).map(
        lambda raw: checksum_address("0x" + raw.hex(), keccak256)
    ),
    value=st.integers(0, 2**100),
    data=st.binary(max_size=80),
)


@given(transactions)
def test_bytes_are_those_of_another_library(transaction: Transaction) -> None:
    """Raw bytes and hash agree with eth-account's for the same key."""
    from eth_account import Account

    theirs = Account.sign_transaction(
        {
            "type": 2,
            "chainId": transaction.chain_id,
            "nonce": transaction.nonce,
            "maxPriorityFeePerGas": transaction.priority_fee,
            "maxFeePerGas": transaction.max_fee,
            "gas": transaction.gas,
            "to": transaction.to,
            "value": transaction.value,
            "data": transaction.data,
        },
        KEY,
    )
    raw = _signed(transaction)
    assert bytes(theirs.raw_transaction) == raw
    assert transaction_hash(raw) == "0x" + theirs.hash.hex().removeprefix("0x")


@given(transactions)
def test_decoding_gives_back_what_was_encoded(transaction: Transaction) -> None:
    """Signed or not, the bytes say everything."""
    assert decode_unsigned(transaction.unsigned()) == transaction
    assert decode_signed(_signed(transaction)) == transaction


def test_sender_follows_from_the_signature() -> None:
    """A transaction signed by another key is found out before it is stored."""
    from eth_account import Account

    assert sender_of(_signed(PLAIN)) == Account.from_key(KEY).address


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x02",
        PLAIN.unsigned()[1:],
        b"\x01" + PLAIN.unsigned()[1:],
        PLAIN.unsigned() + b"\x00",
        PLAIN.unsigned()[:-1],
        b"\x02" + rlp_encode([b""] * 9),
        b"\x02" + rlp_encode([b"\x00"] * 5 + [b"\x11" * 20, b"", b"", []]),
        b"\x02" + rlp_encode([b""] * 5 + [b"\x11" * 20, b"", b"", [b"\x11" * 20]]),
        b"\x02\xb8\x01\x80",
    ],
)
def test_anything_else_is_malformed(raw: bytes) -> None:
    """Cut, padded, foreign or not canonical: not one transaction."""
    with pytest.raises(MalformedTransactionError):
        decode_unsigned(raw)


def test_signed_bytes_are_not_unsigned_ones() -> None:
    """The signer is never given something that is signed already."""
    with pytest.raises(MalformedTransactionError):
        decode_unsigned(_signed(PLAIN))
    with pytest.raises(MalformedTransactionError):
        decode_signed(replace(PLAIN, nonce=1).unsigned())


def test_token_transfer_is_read_back() -> None:
    """Selector, receiver, amount; anything more or else is no transfer."""
    call = transfer_call(ADDRESS, 12345)
    assert parse_transfer_call(call) == (ADDRESS, 12345)
    assert parse_transfer_call(call + b"\0") is None
    assert parse_transfer_call(b"\0" * 4 + call[4:]) is None
    assert parse_transfer_call(call[:4] + b"\1" + call[5:]) is None
    assert parse_transfer_call(b"") is None
