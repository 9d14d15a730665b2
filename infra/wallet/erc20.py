"""The few ERC-20 calls and the one log that the wallet needs, encoded by the contract ABI."""

from __future__ import annotations

from domain.evm_address import checksum_address
from infra.wallet.keccak import keccak256

TRANSFER_TOPIC = "0x" + keccak256(b"Transfer(address,address,uint256)").hex()
_TRANSFER = keccak256(b"transfer(address,uint256)")[:4]
_MINT = keccak256(b"mint(address,uint256)")[:4]
_BALANCE_OF = keccak256(b"balanceOf(address)")[:4]
_WORD = 32


def _word(value: int) -> bytes:
    return value.to_bytes(_WORD, "big")


def _address_word(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(_WORD, b"\0")


def transfer_call(address: str, amount: int) -> bytes:
    """Return the call data of `transfer(address, amount)`."""
    return _TRANSFER + _address_word(address) + _word(amount)


def mint_call(address: str, amount: int) -> bytes:
    """Return the call data of `mint(address, amount)`."""
    return _MINT + _address_word(address) + _word(amount)


def balance_of_call(address: str) -> bytes:
    """Return the call data of `balanceOf(address)`."""
    return _BALANCE_OF + _address_word(address)


def parse_transfer_call(data: bytes) -> tuple[str, int] | None:
    """Return (receiver, amount) of a `transfer` call; None when `data` is anything else."""
    if len(data) != len(_TRANSFER) + 2 * _WORD or data[:4] != _TRANSFER or any(data[4:16]):
        return None
    receiver = checksum_address("0x" + data[16:36].hex(), keccak256)
    return receiver, int.from_bytes(data[36:], "big")


def constructor_arguments(name: str, symbol: str, decimals: int) -> bytes:
    """Return the ABI encoding of (string, string, uint8) that `Token.vy` takes."""
    head, tail = [], b""
    for text in (name, symbol):
        encoded = text.encode("utf-8")
        head.append(_word(3 * _WORD + len(tail)))
        padded = -(-len(encoded) // _WORD) * _WORD
        tail += _word(len(encoded)) + encoded.ljust(padded, b"\0")
    head.append(_word(decimals))
    return b"".join(head) + tail
