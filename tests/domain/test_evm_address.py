"""Addresses and their checksum."""

from __future__ import annotations

import pytest

from domain.evm_address import checksum_address, is_checksum_address
from infra.wallet.keccak import keccak256

# Published examples of EIP-55.
KNOWN = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
]


@pytest.mark.parametrize("address", KNOWN)
def test_known_addresses_have_their_checksum(address: str) -> None:
    """The spelling follows from the digits, whatever case they come in."""
    assert checksum_address(address.lower(), keccak256) == address
    assert is_checksum_address(address, keccak256)


@pytest.mark.parametrize(
    "text",
    [
        KNOWN[0].lower(),
        KNOWN[0].upper(),
        KNOWN[0][:-1] + "D",
        KNOWN[0].replace("5aAe", "5AAe"),
        KNOWN[0] + "0",
        KNOWN[0][2:],
        KNOWN[0] + "\n",
        "",
        "0x" + "g" * 40,
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    """A wrong letter, length or case may be a typing error, so it is not an address."""
    assert not is_checksum_address(text, keccak256)


def test_hash_is_keccak_not_sha3() -> None:
    """The published hash of the empty text."""
    expected = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"").hex() == expected
