"""The signer: checks a withdrawal against its own files and signs it; the only holder of the seed.

It believes nothing that it is told. The order names what the exchange wants to pay; the unsigned
transaction must do exactly that, above the pinned threshold officers of the pinned file must have
signed it, the signer's own journal must not show the withdrawal under another nonce or as another
payment, nor the nonce under another withdrawal, and what it signed itself within an hour and a day
must leave room (`infra.wallet.signing_room`). A void of a nonce takes two officers and pays nobody.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.approval import (
    APPROVE,
    VOID,
    VOID_SIGNATURES,
    DecisionSubject,
    Officer,
    quorum,
)
from domain.evm_address import is_checksum_address
from domain.signing_limits import WITHDRAWAL_BOUNDS
from infra.wallet.erc20 import parse_transfer_call
from infra.wallet.keccak import keccak256
from infra.wallet.keys import HOT_WALLET_PATH, Seed
from infra.wallet.signer_journal import SignerJournal
from infra.wallet.signer_policy import AssetPolicy, SignerPolicy
from infra.wallet.signer_refusal import Refused, SignerRefusal
from infra.wallet.signing_order import (
    SigningOrder,
    VoidOrder,
    parse_order,
    parse_void,
    signatures_refusal,
)
from infra.wallet.signing_room import SigningRoom
from infra.wallet.transaction import (
    MalformedTransactionError,
    Transaction,
    decode_unsigned,
    is_void,
    transaction_hash,
)

_NO_TIME = dt.timedelta()


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A raw transaction, ready to be stored and then broadcast."""

    raw: bytes
    tx_hash: str
    nonce: int


class Signer:
    """Checks and signs; one per hot wallet."""

    def __init__(
        self,
        seed: Seed,
        policy: SignerPolicy,
        officers: Mapping[str, Officer],
        journal: SignerJournal,
        room: SigningRoom,
    ) -> None:
        self._key = seed.private_key(HOT_WALLET_PATH)
        self._hot_address = seed.address(HOT_WALLET_PATH)
        self._policy = policy
        self._officers = officers
        self._journal = journal
        self._room = room

    def check(
        self, fields: Mapping[str, Any], now: dt.datetime, approved_for: dt.timedelta = _NO_TIME
    ) -> SigningOrder | Refused:
        """Return the order when it may be signed, as far as that is known without a transaction.

        Its approvals must still count after `approved_for`. Room is kept for it in the windows.
        """
        order = parse_order(fields)
        if isinstance(order, Refused):
            return order
        refused = self._order_refusal(order, now + approved_for)
        limits = refused or self._room.keep(order.payment(now), self._policy.limits(order.asset))
        if limits is None:
            return order
        self._room.give_back(order.withdrawal_id)
        return limits

    def _order_refusal(self, order: SigningOrder, now: dt.datetime) -> Refused | None:
        """Return what the signer's own files say against an order, its approvals as of `now`."""
        asset = self._policy.assets.get(order.asset)
        if asset is None:
            return Refused(SignerRefusal.UNKNOWN_ASSET, order.asset)
        if not 0 <= order.fee < order.amount:
            return Refused(SignerRefusal.AMOUNT_NOT_ABOVE_FEE)
        if not is_checksum_address(order.address, keccak256):
            return Refused(SignerRefusal.INVALID_ADDRESS)
        allowed = self._policy.allow_list
        if allowed is not None and order.address not in allowed:
            return Refused(SignerRefusal.ADDRESS_NOT_ALLOWED, order.address)
        return self._approvals_refusal(order, asset, now)

    def _approvals_refusal(
        self, order: SigningOrder, asset: AssetPolicy, now: dt.datetime
    ) -> Refused | None:
        subject = DecisionSubject(
            withdrawal_id=order.withdrawal_id,
            customer_id=order.customer_id,
            asset=order.asset,
            amount=order.amount,
            address=order.address,
        )
        needed = quorum(order.amount, asset.approval_above)
        return signatures_refusal(order.approvals, APPROVE, subject, self._officers, needed, now)

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
        self._journal.record(transaction.nonce, order.payment(now), digest)
        self._room.give_back(order.withdrawal_id)
        raw = transaction.signed(*signature_of(self._key, digest))
        return SignedTransaction(raw, transaction_hash(raw), transaction.nonce)

    def sign_void(
        self, fields: Mapping[str, Any], unsigned: bytes, now: dt.datetime
    ) -> SignedTransaction | Refused:
        """Return a raw transaction that uses a nonce up for nothing, or the first reason not to.

        Two officers must have signed for just this nonce of just this payment, a customer's or our
        own; where it was signed, it must be theirs. From then on nothing is paid under its name.
        """
        order = parse_void(fields)
        if isinstance(order, Refused):
            return order
        refused = signatures_refusal(
            order.decisions, VOID, order.subject(), self._officers, VOID_SIGNATURES, now
        )
        if refused is not None:
            return refused
        paid = self._journal.payment(order.withdrawal_id)
        if paid is not None and not order.gives_up(paid):
            return Refused(SignerRefusal.SIGNED_AS_ANOTHER_PAYMENT)
        try:
            transaction = decode_unsigned(unsigned)
        except MalformedTransactionError as error:
            return Refused(SignerRefusal.MALFORMED_TRANSACTION, str(error))
        refusal = self._void_refusal(order, transaction)
        refusal = refusal or self._journal.conflict(transaction.nonce, order.withdrawal_id)
        if refusal is not None:
            return Refused(refusal)
        digest = transaction.signing_hash()
        at_seconds = int(now.timestamp())
        self._journal.record_void(transaction.nonce, order.withdrawal_id, at_seconds, digest)
        self._room.give_back(order.withdrawal_id)
        raw = transaction.signed(*signature_of(self._key, digest))
        return SignedTransaction(raw, transaction_hash(raw), transaction.nonce)

    def _void_refusal(self, order: VoidOrder, transaction: Transaction) -> SignerRefusal | None:
        """Return why the bytes are not the void that was ordered."""
        if refusal := self._fee_refusal(transaction):
            return refusal
        if not is_void(transaction, self._hot_address):
            return SignerRefusal.NOT_A_VOID
        return None if transaction.nonce == order.nonce else SignerRefusal.WRONG_NONCE

    def _fee_refusal(self, transaction: Transaction) -> SignerRefusal | None:
        if transaction.chain_id != self._policy.chain_id:
            return SignerRefusal.WRONG_CHAIN
        if transaction.priority_fee > transaction.max_fee:
            return SignerRefusal.FEE_TOO_HIGH
        admitted = WITHDRAWAL_BOUNDS.admit(transaction.gas, transaction.max_fee)
        return None if admitted else SignerRefusal.FEE_TOO_HIGH

    def _transaction_refusal(
        self, order: SigningOrder, transaction: Transaction
    ) -> SignerRefusal | None:
        """Return how the bytes differ from the order."""
        if refusal := self._fee_refusal(transaction):
            return refusal
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


def signature_of(key: bytes, digest: bytes) -> tuple[int, int, int]:
    """Return (parity, r, s), deterministic by RFC 6979, so that signing twice gives one hash."""
    from eth_keys.datatypes import PrivateKey

    signature = PrivateKey(key).sign_msg_hash(digest)
    return signature.v, signature.r, signature.s
