"""Type-2 (EIP-1559) transactions: encode to sign, decode to see what was asked or signed.

The decoder is strict and shares nothing with the library that signs, so that the signer checks
the bytes themselves and not the fields it was told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.evm_address import checksum_address
from infra.wallet.keccak import keccak256

_TYPE = b"\x02"
_UNSIGNED_FIELDS = 9
_SIGNED_FIELDS = 12
_SHORT = 55
VOID_GAS = 21_000  # what a payment to an address without code takes, to the unit

RlpItem = bytes | Sequence["RlpItem"]


class MalformedTransactionError(ValueError):
    """The bytes are not one canonical type-2 transaction."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A type-2 transaction without access list; fees and value in wei, `to` in checksum form."""

    chain_id: int
    nonce: int
    priority_fee: int
    max_fee: int
    gas: int
    to: str
    value: int
    data: bytes

    def unsigned(self) -> bytes:
        """Return the bytes whose Keccak-256 is signed."""
        return _TYPE + rlp_encode(self._fields())

    def signing_hash(self) -> bytes:
        """Return the hash that the signature covers."""
        return keccak256(self.unsigned())

    def signed(self, parity: int, r: int, s: int) -> bytes:
        """Return the raw transaction with its signature."""
        return _TYPE + rlp_encode([*self._fields(), _integer(parity), _integer(r), _integer(s)])

    def _fields(self) -> list[RlpItem]:
        return [
            _integer(self.chain_id),
            _integer(self.nonce),
            _integer(self.priority_fee),
            _integer(self.max_fee),
            _integer(self.gas),
            bytes.fromhex(self.to[2:]),
            _integer(self.value),
            self.data,
            [],
        ]


def is_void(transaction: Transaction, hot_address: str) -> bool:
    """Return whether it pays nobody anything: the hot wallet sends itself nothing."""
    return (
        transaction.to == hot_address
        and transaction.value == 0
        and transaction.data == b""
        and transaction.gas == VOID_GAS
    )


def transaction_hash(raw: bytes) -> str:
    """Return the hash by which the chain knows a raw transaction."""
    return "0x" + keccak256(raw).hex()


def decode_unsigned(raw: bytes) -> Transaction:
    """Return the transaction of its unsigned bytes; `MalformedTransactionError` otherwise."""
    return _transaction(_fields_of(raw, _UNSIGNED_FIELDS))


def decode_signed(raw: bytes) -> Transaction:
    """Return what a raw signed transaction does; the signature itself is not looked at."""
    return _transaction(_fields_of(raw, _SIGNED_FIELDS)[:_UNSIGNED_FIELDS])


def sender_of(raw: bytes) -> str:
    """Return the address whose key signed a raw transaction."""
    from eth_keys.datatypes import Signature

    fields = _fields_of(raw, _SIGNED_FIELDS)
    parity, r, s = (_number(item) for item in fields[_UNSIGNED_FIELDS:])
    digest = _transaction(fields[:_UNSIGNED_FIELDS]).signing_hash()
    key = Signature(vrs=(parity, r, s)).recover_public_key_from_msg_hash(digest)
    return str(key.to_checksum_address())


def _fields_of(raw: bytes, count: int) -> list[RlpItem]:
    if raw[:1] != _TYPE:
        raise MalformedTransactionError("not a type-2 transaction")
    fields, rest = _decode(raw[1:])
    if rest or not isinstance(fields, list) or len(fields) != count:
        raise MalformedTransactionError(f"not a list of {count} fields")
    return fields


def _transaction(fields: list[RlpItem]) -> Transaction:
    *numbers, to, value, data, access = fields
    if access != [] or not isinstance(to, bytes) or len(to) != 20 or not isinstance(data, bytes):
        raise MalformedTransactionError("receiver, data or access list")
    chain_id, nonce, priority_fee, max_fee, gas = (_number(item) for item in numbers)
    return Transaction(
        chain_id=chain_id,
        nonce=nonce,
        priority_fee=priority_fee,
        max_fee=max_fee,
        gas=gas,
        to=checksum_address("0x" + to.hex(), keccak256),
        value=_number(value),
        data=data,
    )


def _integer(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _number(item: RlpItem) -> int:
    if not isinstance(item, bytes) or len(item) > 32 or item[:1] == b"\0":
        raise MalformedTransactionError("not a canonical integer")
    return int.from_bytes(item, "big")


def rlp_encode(item: RlpItem) -> bytes:
    """Return the recursive-length-prefix encoding of bytes or nested lists of bytes."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _length(len(item), 0x80) + item
    body = b"".join(rlp_encode(part) for part in item)
    return _length(len(body), 0xC0) + body


def _length(length: int, offset: int) -> bytes:
    if length <= _SHORT:
        return bytes([offset + length])
    size = _integer(length)
    return bytes([offset + _SHORT + len(size)]) + size


def _decode(raw: bytes) -> tuple[RlpItem, bytes]:
    """Return (first item, bytes after it)."""
    if not raw:
        raise MalformedTransactionError("ends early")
    first = raw[0]
    if first < 0x80:
        return raw[:1], raw[1:]
    is_list = first >= 0xC0
    short = first - (0xC0 if is_list else 0x80)
    start, length = 1, short
    if short > _SHORT:
        start = 1 + short - _SHORT
        length = int.from_bytes(raw[1:start], "big")
        if length <= _SHORT or raw[1] == 0:
            raise MalformedTransactionError("length is not canonical")
    body, rest = raw[start : start + length], raw[start + length :]
    if len(body) != length:
        raise MalformedTransactionError("ends early")
    if not is_list:
        if length == 1 and body[0] < 0x80:
            raise MalformedTransactionError("length is not canonical")
        return body, rest
    items: list[RlpItem] = []
    while body:
        item, body = _decode(body)
        items.append(item)
    return items, rest
