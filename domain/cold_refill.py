"""A refill of the hot wallet by the cold one: what is asked, signed elsewhere, and brought back.

Request and answer are JSON files that a person carries. Each has a checksum over its canonical
text, against a damaged stick and not against an attacker: what is signed is shown in words, and
what comes back is decoded again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from domain.chain import COIN_DECIMALS
from domain.evm_address import Keccak256, is_checksum_address
from domain.money import text_from_units
from domain.signing_limits import FeeBounds

FORMAT, VERSION = "rialto-refill-request", 1
MAX_PAYMENTS = 16
_BOUNDS = FeeBounds(500_000, 10**17)  # of one payment, 0.1 of the chain's coin
_FIELDS = frozenset(
    {
        *("format", "version", "chain_id", "sender", "receiver", "nonce"),
        *("max_fee", "priority_fee", "payments", "checksum"),
    }
)
_PAYMENT_FIELDS = frozenset({"asset", "contract", "decimals", "amount", "gas"})
_NUMBER = re.compile(r"[1-9][0-9]{0,37}|0")
_CODE = re.compile(r"[A-Z0-9]{2,12}")


class RefillRefusal(StrEnum):
    """Why a request is not signed; checked in this order."""

    NOT_A_REQUEST = "not_a_request"
    UNKNOWN_VERSION = "unknown_version"
    UNKNOWN_OR_MISSING_FIELD = "unknown_or_missing_field"
    WRONG_CHECKSUM = "wrong_checksum"
    MALFORMED_FIELD = "malformed_field"
    INVALID_ADDRESS = "invalid_address"
    NO_PAYMENTS = "no_payments"
    TOO_MANY_PAYMENTS = "too_many_payments"
    NOTHING_TO_PAY = "nothing_to_pay"
    FEE_TOO_HIGH = "fee_too_high"
    ANOTHER_CHAIN = "another_chain"
    ANOTHER_SENDER = "another_sender"
    ANOTHER_RECEIVER = "another_receiver"


@dataclass(frozen=True, slots=True)
class RefillPayment:
    """One transaction; `amount` in chain units, `contract` None for the chain's own coin."""

    asset: str
    contract: str | None
    decimals: int
    amount: int
    gas: int


@dataclass(frozen=True, slots=True)
class ColdPolicy:
    """What a cold wallet pins when it is made: it pays one address on one chain, nobody else."""

    chain_id: int
    address: str
    hot_address: str


@dataclass(frozen=True, slots=True)
class RefillRequest:
    """Payments from `sender` to `receiver` at `nonce` and those after it; fees in wei per gas."""

    chain_id: int
    sender: str
    receiver: str
    nonce: int
    max_fee: int
    priority_fee: int
    payments: tuple[RefillPayment, ...]

    def text(self) -> str:
        """Return the file's text; big numbers as text, since JSON readers round them."""
        fields: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "chain_id": self.chain_id,
            "sender": self.sender,
            "receiver": self.receiver,
            "nonce": self.nonce,
            "max_fee": str(self.max_fee),
            "priority_fee": str(self.priority_fee),
            "payments": [
                {
                    "asset": payment.asset,
                    "contract": payment.contract,
                    "decimals": payment.decimals,
                    "amount": str(payment.amount),
                    "gas": payment.gas,
                }
                for payment in self.payments
            ],
        }
        return json.dumps(fields | {"checksum": checksum(fields)}, indent=1) + "\n"

    def in_words(self) -> list[str]:
        """Return what a person agrees to, a line for each fact."""
        lines = [f"from {self.sender}", f"to {self.receiver}", f"on chain {self.chain_id}"]
        for offset, payment in enumerate(self.payments):
            amount = text_from_units(payment.amount, payment.decimals)
            token = f" (token {payment.contract})" if payment.contract else ""
            fee = text_from_units(payment.gas * self.max_fee, COIN_DECIMALS)
            lines.append(
                f"nonce {self.nonce + offset}: {amount} {payment.asset}{token}, "
                f"{payment.amount} units, for a fee of {fee} of the chain's coin at most"
            )
        return lines


def checksum(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all fields but the checksum, as sorted compact JSON."""
    rest = {name: value for name, value in fields.items() if name != "checksum"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def parse_refill(text: str, keccak: Keccak256) -> RefillRequest | RefillRefusal:
    """Return the request of a file's text, or the first reason not to look at it further."""
    try:
        fields = json.loads(text)
    except ValueError:
        return RefillRefusal.NOT_A_REQUEST
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        return RefillRefusal.NOT_A_REQUEST
    if fields.get("version") != VERSION:
        return RefillRefusal.UNKNOWN_VERSION
    if set(fields) != _FIELDS or not isinstance(fields["payments"], list):
        return RefillRefusal.UNKNOWN_OR_MISSING_FIELD
    if any(not isinstance(it, dict) or set(it) != _PAYMENT_FIELDS for it in fields["payments"]):
        return RefillRefusal.UNKNOWN_OR_MISSING_FIELD
    if fields["checksum"] != checksum(fields):
        return RefillRefusal.WRONG_CHECKSUM
    request = _request(fields)
    return _refusal(request, keccak) or request if isinstance(request, RefillRequest) else request


def _request(fields: dict[str, Any]) -> RefillRequest | RefillRefusal:
    payments = [_payment(entry) for entry in fields["payments"]]
    numbers = [_number(fields[name]) for name in ("max_fee", "priority_fee")]
    plain = [fields[name] for name in ("chain_id", "nonce")]
    texts = [fields[name] for name in ("sender", "receiver")]
    if (
        any(type(number) is not int or not 0 <= number < 1 << 63 for number in plain)
        or not all(isinstance(text, str) for text in texts)
        or None in numbers
        or None in payments
    ):
        return RefillRefusal.MALFORMED_FIELD
    return RefillRequest(
        chain_id=fields["chain_id"],
        sender=fields["sender"],
        receiver=fields["receiver"],
        nonce=fields["nonce"],
        max_fee=int(fields["max_fee"]),
        priority_fee=int(fields["priority_fee"]),
        payments=tuple(payment for payment in payments if payment is not None),
    )


def _payment(entry: dict[str, Any]) -> RefillPayment | None:
    asset, contract, amount = entry["asset"], entry["contract"], _number(entry["amount"])
    if not isinstance(asset, str) or _CODE.fullmatch(asset) is None or amount is None:
        return None
    if contract is not None and not isinstance(contract, str):
        return None
    if type(entry["decimals"]) is not int or not 0 <= entry["decimals"] <= COIN_DECIMALS:
        return None
    if type(entry["gas"]) is not int or entry["gas"] <= 0:
        return None
    return RefillPayment(asset, contract, entry["decimals"], amount, entry["gas"])


def _number(text: object) -> int | None:
    """Return a number that was written as decimal text; None for anything else."""
    return int(text) if isinstance(text, str) and _NUMBER.fullmatch(text) else None


def _refusal(request: RefillRequest, keccak: Keccak256) -> RefillRefusal | None:
    addresses = [request.sender, request.receiver]
    addresses += [it.contract for it in request.payments if it.contract is not None]
    if not all(is_checksum_address(address, keccak) for address in addresses):
        return RefillRefusal.INVALID_ADDRESS
    if not request.payments:
        return RefillRefusal.NO_PAYMENTS
    if len(request.payments) > MAX_PAYMENTS:
        return RefillRefusal.TOO_MANY_PAYMENTS
    if any(payment.amount == 0 for payment in request.payments):
        return RefillRefusal.NOTHING_TO_PAY
    if request.priority_fee > request.max_fee:
        return RefillRefusal.FEE_TOO_HIGH
    for payment in request.payments:
        if not _BOUNDS.admit(payment.gas, request.max_fee):
            return RefillRefusal.FEE_TOO_HIGH
    return None


def policy_refusal(request: RefillRequest, policy: ColdPolicy) -> RefillRefusal | None:
    """Return why this cold wallet does not sign a well-formed request, or None."""
    if request.chain_id != policy.chain_id:
        return RefillRefusal.ANOTHER_CHAIN
    if request.sender != policy.address:
        return RefillRefusal.ANOTHER_SENDER
    if request.receiver != policy.hot_address:
        return RefillRefusal.ANOTHER_RECEIVER
    return None
