"""The signer: checks a withdrawal against its own files and signs it; the only holder of the seed.

It believes nothing that it is told. The order names what the exchange wants to pay; the unsigned
transaction must do exactly that, above the pinned threshold officers of the pinned file must have
signed it, and the signer's own journal must not show the withdrawal under another nonce, nor the
nonce under another withdrawal.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from domain.approval import (
    APPROVE,
    Decision,
    DecisionSubject,
    Officer,
    decision_refusal,
    quorum,
)
from domain.evm_address import is_checksum_address
from infra.wallet.erc20 import parse_transfer_call
from infra.wallet.keccak import keccak256
from infra.wallet.keys import HOT_WALLET_PATH, Seed
from infra.wallet.officers import verify_ed25519
from infra.wallet.transaction import (
    MalformedTransactionError,
    Transaction,
    decode_unsigned,
    transaction_hash,
)

MAX_GAS = 500_000
MAX_NETWORK_FEE = 10**17  # 0.1 of the chain's coin: a bound on what a wrong fee can burn
_ORDER_FIELDS = frozenset(
    {"withdrawal_id", "customer_id", "asset", "amount", "fee", "address", "approvals"}
)
_DECISION_FIELDS = frozenset({"officer", "action", "statement", "signature_hex"})
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AMOUNT = re.compile(r"[1-9][0-9]{0,37}|0")


class SignerRefusal(StrEnum):
    """Why the signer does not sign; checked in this order."""

    UNKNOWN_OR_MISSING_FIELD = "unknown_or_missing_field"
    MALFORMED_FIELD = "malformed_field"
    UNKNOWN_ASSET = "unknown_asset"
    AMOUNT_NOT_ABOVE_FEE = "amount_not_above_fee"
    INVALID_ADDRESS = "invalid_address"
    INVALID_APPROVAL = "invalid_approval"
    TOO_FEW_APPROVALS = "too_few_approvals"
    MALFORMED_TRANSACTION = "malformed_transaction"
    WRONG_CHAIN = "wrong_chain"
    FEE_TOO_HIGH = "fee_too_high"
    WRONG_RECEIVER = "wrong_receiver"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CONTRACT = "wrong_contract"
    SIGNED_WITH_ANOTHER_NONCE = "signed_with_another_nonce"
    NONCE_OF_ANOTHER_WITHDRAWAL = "nonce_of_another_withdrawal"


@dataclass(frozen=True, slots=True)
class Refused:
    """The signer's no; `detail` says more for the operator."""

    reason: SignerRefusal
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A raw transaction, ready to be stored and then broadcast."""

    raw: bytes
    tx_hash: str
    nonce: int


@dataclass(frozen=True, slots=True)
class AssetPolicy:
    """What the signer's own file says of an asset; `contract` None is the chain's own coin."""

    contract: str | None
    approval_above: int


def signer_policy_path(data_dir: Path) -> Path:
    """Return the signer's own file of chain, contracts and thresholds."""
    return data_dir / "signer" / "policy.json"


@dataclass(frozen=True, slots=True)
class SignerPolicy:
    """The signer's own file."""

    chain_id: int
    assets: Mapping[str, AssetPolicy]

    @staticmethod
    def load(path: Path) -> SignerPolicy:
        """Read the pinned policy; a missing field is an error, not a default."""
        fields = json.loads(path.read_text())
        return SignerPolicy(
            chain_id=int(fields["chain_id"]),
            assets={
                code: AssetPolicy(entry["contract"], int(entry["approval_above"]))
                for code, entry in fields["assets"].items()
            },
        )


@dataclass(frozen=True, slots=True)
class SigningOrder:
    """A parsed order: pay `amount - fee` of `asset` to `address`."""

    withdrawal_id: str
    customer_id: int
    asset: str
    amount: int
    fee: int
    address: str
    approvals: tuple[Decision, ...]


class SignerJournal:
    """Append-only file of (nonce, withdrawal) pairs; on disk before a signature leaves."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._withdrawal_of: dict[int, str] = {}
        self._nonce_of: dict[str, int] = {}
        if path.exists():
            whole = path.read_text().rpartition("\n")[0]
            os.truncate(path, len(whole) + 1 if whole else 0)  # a torn line was never signed
            for line in whole.splitlines():
                entry = json.loads(line)
                self._remember(int(entry["nonce"]), str(entry["withdrawal_id"]))

    def conflict(self, nonce: int, withdrawal_id: str) -> SignerRefusal | None:
        """Return why this pair contradicts what was signed before."""
        if self._nonce_of.get(withdrawal_id, nonce) != nonce:
            return SignerRefusal.SIGNED_WITH_ANOTHER_NONCE
        if self._withdrawal_of.get(nonce, withdrawal_id) != withdrawal_id:
            return SignerRefusal.NONCE_OF_ANOTHER_WITHDRAWAL
        return None

    def record(self, nonce: int, withdrawal_id: str, signing_hash: bytes) -> None:
        """Append one line and wait until it is on disk."""
        line = json.dumps(
            {"nonce": nonce, "withdrawal_id": withdrawal_id, "hash": signing_hash.hex()}
        )
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode("ascii") + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._remember(nonce, withdrawal_id)

    def _remember(self, nonce: int, withdrawal_id: str) -> None:
        self._withdrawal_of[nonce] = withdrawal_id
        self._nonce_of[withdrawal_id] = nonce


class Signer:
    """Checks and signs; one per hot wallet."""

    def __init__(
        self,
        seed: Seed,
        policy: SignerPolicy,
        officers: Mapping[str, Officer],
        journal: SignerJournal,
    ) -> None:
        self._key = seed.private_key(HOT_WALLET_PATH)
        self._policy = policy
        self._officers = officers
        self._journal = journal

    def check(self, fields: Mapping[str, Any], now: dt.datetime) -> SigningOrder | Refused:
        """Return the order when it may be signed, as far as that is known without a transaction."""
        order = parse_order(fields)
        if isinstance(order, Refused):
            return order
        asset = self._policy.assets.get(order.asset)
        if asset is None:
            return Refused(SignerRefusal.UNKNOWN_ASSET, order.asset)
        if not 0 <= order.fee < order.amount:
            return Refused(SignerRefusal.AMOUNT_NOT_ABOVE_FEE)
        if not is_checksum_address(order.address, keccak256):
            return Refused(SignerRefusal.INVALID_ADDRESS)
        return self._check_approvals(order, asset, now)

    def _check_approvals(
        self, order: SigningOrder, asset: AssetPolicy, now: dt.datetime
    ) -> SigningOrder | Refused:
        subject = DecisionSubject(
            withdrawal_id=order.withdrawal_id,
            customer_id=order.customer_id,
            asset=order.asset,
            amount=order.amount,
            address=order.address,
        )
        counted: list[str] = []
        for decision in order.approvals:
            refusal = decision_refusal(
                decision,
                action=APPROVE,
                subject=subject,
                officers=self._officers,
                decided=counted,
                now=now,
                verify=verify_ed25519,
            )
            if refusal is not None:
                return Refused(SignerRefusal.INVALID_APPROVAL, f"{decision.officer}: {refusal}")
            counted.append(decision.officer)
        needed = quorum(order.amount, asset.approval_above)
        if len(counted) < needed:
            return Refused(SignerRefusal.TOO_FEW_APPROVALS, f"{len(counted)} of {needed}")
        return order

    def sign(
        self, fields: Mapping[str, Any], unsigned: bytes, now: dt.datetime
    ) -> SignedTransaction | Refused:
        """Return the raw transaction, or the first reason not to sign."""
        order = self.check(fields, now)
        if isinstance(order, Refused):
            return order
        try:
            transaction = decode_unsigned(unsigned)
        except MalformedTransactionError as error:
            return Refused(SignerRefusal.MALFORMED_TRANSACTION, str(error))
        refusal = self._transaction_refusal(order, transaction)
        if refusal is None:
            refusal = self._journal.conflict(transaction.nonce, order.withdrawal_id)
        if refusal is not None:
            return Refused(refusal)
        digest = transaction.signing_hash()
        self._journal.record(transaction.nonce, order.withdrawal_id, digest)
        raw = transaction.signed(*_signature(self._key, digest))
        return SignedTransaction(raw, transaction_hash(raw), transaction.nonce)

    def _transaction_refusal(
        self, order: SigningOrder, transaction: Transaction
    ) -> SignerRefusal | None:
        """Return how the bytes differ from the order."""
        if transaction.chain_id != self._policy.chain_id:
            return SignerRefusal.WRONG_CHAIN
        if transaction.gas > MAX_GAS or transaction.gas * transaction.max_fee > MAX_NETWORK_FEE:
            return SignerRefusal.FEE_TOO_HIGH
        amount = order.amount - order.fee
        contract = self._policy.assets[order.asset].contract
        if contract is None:
            if transaction.data or transaction.to != order.address:
                return SignerRefusal.WRONG_RECEIVER
            return None if transaction.value == amount else SignerRefusal.WRONG_AMOUNT
        if transaction.to != contract or transaction.value:
            return SignerRefusal.WRONG_CONTRACT
        paid = parse_transfer_call(transaction.data)
        if paid is None or paid[0] != order.address:
            return SignerRefusal.WRONG_RECEIVER
        return None if paid[1] == amount else SignerRefusal.WRONG_AMOUNT


def _signature(key: bytes, digest: bytes) -> tuple[int, int, int]:
    """Return (parity, r, s), deterministic by RFC 6979, so that signing twice gives one hash."""
    from eth_keys.datatypes import PrivateKey

    signature = PrivateKey(key).sign_msg_hash(digest)
    return signature.v, signature.r, signature.s


def parse_order(fields: Mapping[str, Any]) -> SigningOrder | Refused:
    """Parse what came over the wire; amounts are decimal text, since JSON numbers may be floats."""
    if set(fields) != _ORDER_FIELDS or not isinstance(fields["approvals"], list):
        return Refused(SignerRefusal.UNKNOWN_OR_MISSING_FIELD)
    for decision in fields["approvals"]:
        if not isinstance(decision, dict) or set(decision) != _DECISION_FIELDS:
            return Refused(SignerRefusal.UNKNOWN_OR_MISSING_FIELD, "approvals")
        if not all(isinstance(value, str) for value in decision.values()):
            return Refused(SignerRefusal.MALFORMED_FIELD, "approvals")
    texts = [fields[name] for name in ("withdrawal_id", "asset", "amount", "fee", "address")]
    if not all(isinstance(text, str) for text in texts) or type(fields["customer_id"]) is not int:
        return Refused(SignerRefusal.MALFORMED_FIELD)
    withdrawal_id, asset, amount, fee, address = texts
    if not _UUID.fullmatch(withdrawal_id):
        return Refused(SignerRefusal.MALFORMED_FIELD, "withdrawal_id")
    if not _AMOUNT.fullmatch(amount) or not _AMOUNT.fullmatch(fee):
        return Refused(SignerRefusal.MALFORMED_FIELD, "amount")
    return SigningOrder(
        withdrawal_id=withdrawal_id,
        customer_id=fields["customer_id"],
        asset=asset,
        amount=int(amount),
        fee=int(fee),
        address=address,
        approvals=tuple(Decision(**decision) for decision in fields["approvals"]),
    )
