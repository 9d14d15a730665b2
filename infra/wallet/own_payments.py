"""The signer's part for what the exchange pays by itself: it derives our addresses itself.

An order names a kind, an asset and a derivation path, and the signer knows three ways: from a
deposit address of its seed to the hot wallet, from the hot wallet to a deposit address of its seed
(the chain's coin, little of it), from the hot wallet to the address pinned as cold. Whatever the
rest of the exchange says, these coins go nowhere else; so no officer has to sign. The fourth way
leads outside: a deposit that is returned to its sender. There two pinned officers must have signed
for just this payment, amount and address.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.adjustment import ADJUST, return_terms
from domain.approval import Officer, parse_decision
from domain.hot_wallet import MAX_GAS_SUPPLY
from domain.signing_limits import OWN_BOUNDS, Payment, SigningLimits
from domain.two_signatures import SIGNATURES_NEEDED, is_signed
from domain.wallet_payment import PaymentKind, is_payment_id
from domain.withdrawal import is_payable
from infra.wallet.erc20 import parse_transfer_call
from infra.wallet.keccak import keccak256
from infra.wallet.keys import DEPOSIT_ACCOUNT, DEPOSIT_BRANCH, HOT_WALLET_PATH, Seed
from infra.wallet.officers import verify_ed25519
from infra.wallet.signer import SignedTransaction, signature_of
from infra.wallet.signer_journal import SignerJournal
from infra.wallet.signer_policy import SignerPolicy
from infra.wallet.signer_refusal import Refused, SignerRefusal
from infra.wallet.signing_order import COLD_MARK
from infra.wallet.signing_room import SignedSweeps, SigningRoom
from infra.wallet.transaction import (
    MalformedTransactionError,
    Transaction,
    decode_unsigned,
    transaction_hash,
)

_NO_BOUND = 10**60  # of amounts: coins go to where they are safer
_ORDER_FIELDS = frozenset({"payment_id", "kind", "asset", "amount", "deposit_path", "destination"})
_RETURN_FIELDS = _ORDER_FIELDS | {"approvals"}
_KINDS = frozenset(PaymentKind) - {PaymentKind.REFILL}  # the cold wallet signs that one
_PATH = re.compile(rf"{re.escape(DEPOSIT_ACCOUNT)}/{DEPOSIT_BRANCH}/(0|[1-9][0-9]{{0,9}})")
_AMOUNT = re.compile(r"[1-9][0-9]{0,37}")
_LARGEST_INDEX = 2**31  # from there on an index is hardened, and no deposit address


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """A parsed order with the ends that the signer has derived: `path` is the sender's key."""

    payment_id: str
    kind: PaymentKind
    asset: str
    contract: str | None
    amount: int
    path: str
    destination: str


def is_own_order(fields: Mapping[str, Any]) -> bool:
    """Return whether an order asks for a payment between our own addresses."""
    return "payment_id" in fields


def return_refusal(
    fields: Mapping[str, Any], policy: SignerPolicy, officers: Mapping[str, Officer]
) -> Refused | None:
    """Return why the order of a return is not what two pinned officers have signed, or None."""
    destination, approvals = fields["destination"], fields["approvals"]
    if not is_payable(destination, keccak256):
        return Refused(SignerRefusal.INVALID_ADDRESS)
    if policy.allow_list is not None and destination not in policy.allow_list:
        return Refused(SignerRefusal.ADDRESS_NOT_ALLOWED, destination)
    pinned, keys, wanted = dict(officers), set[str](), fields["payment_id"]
    for given in approvals:
        approval = parse_decision(given)
        if approval is None:
            return Refused(SignerRefusal.MALFORMED_FIELD, "approvals")
        officer, terms = pinned.get(approval.officer), return_terms(approval.statement)
        if officer is None or terms is None or approval.action != ADJUST:
            return Refused(SignerRefusal.INVALID_APPROVAL, approval.officer)
        signed_for = (terms.adjustment_id, terms.asset, str(terms.amount), terms.address)
        if signed_for != (wanted, fields["asset"], fields["amount"], destination):
            return Refused(SignerRefusal.INVALID_APPROVAL, f"{approval.officer}: another payment")
        if not is_signed(officer, approval.statement, approval.signature_hex, verify_ed25519):
            return Refused(SignerRefusal.INVALID_APPROVAL, f"{approval.officer}: not his signature")
        keys.add(officer.public_key_hex)
    if len(keys) < SIGNATURES_NEEDED:
        return Refused(SignerRefusal.TOO_FEW_APPROVALS, f"{len(keys)} of {SIGNATURES_NEEDED}")
    return None


def _expiry(fields: Mapping[str, Any]) -> int:
    """Return until when all approvals of a return count; they have been checked."""
    said = [return_terms(approval["statement"]) for approval in fields["approvals"]]
    return min(terms.expiry for terms in said if terms is not None)


class OwnPaymentSigner:
    """Checks and signs; sweeps are counted in memory, what the hot wallet pays in the journal.

    A sweep that is signed twice brings coins to the hot wallet twice, so it needs no journal, and
    has windows of its own. What leaves the hot wallet has its nonces among the withdrawals', and
    shares their `room`: gas and returns count in their amounts, what goes cold only in their
    number. `cold_address` is asked each time, so that pinning one takes no restart.
    """

    def __init__(
        self,
        seed: Seed,
        policy: SignerPolicy,
        journal: SignerJournal,
        room: SigningRoom,
        cold_address: Callable[[], str | None],
        officers: Mapping[str, Officer],
    ) -> None:
        self._seed = seed
        self._policy = policy
        self._journal = journal
        self._cold_address = cold_address
        self._officers = officers
        self._hot_address = seed.address(HOT_WALLET_PATH)
        self._room = room
        self._swept = SignedSweeps()
        self._sweeps = SigningRoom(self._swept)

    def check(self, fields: Mapping[str, Any], now: dt.datetime) -> OwnOrder | Refused:
        """Return the order when it may be signed, as far as that is known without a transaction."""
        order = self._parsed(fields)
        if isinstance(order, Refused):
            for each in (self._room, self._sweeps):
                each.give_back(str(fields.get("payment_id")))
            return order
        now_seconds = int(now.timestamp())
        room, limits = self._room_of(order)
        refused = self._approvals_refusal(fields, order, now_seconds)
        refused = refused or room.keep(_journalled(order, now_seconds), limits)
        if refused is not None:
            room.give_back(order.payment_id)
        return refused or order

    def _approvals_refusal(
        self, fields: Mapping[str, Any], order: OwnOrder, now_seconds: int
    ) -> Refused | None:
        """Return why a return is not signed for; once signed, it may be again with a higher fee."""
        if order.kind is not PaymentKind.RETURN:
            return None
        refused = return_refusal(fields, self._policy, self._officers)
        if refused is None and self._journal.payment(order.payment_id) is None:
            late = _expiry(fields) <= now_seconds
            refused = Refused(SignerRefusal.INVALID_APPROVAL, "expired") if late else None
        return refused

    def _room_of(self, order: OwnOrder) -> tuple[SigningRoom, SigningLimits]:
        """Return in which windows it needs room, and how much they have."""
        if order.kind in (PaymentKind.GAS, PaymentKind.RETURN):
            return self._room, self._policy.limits(order.asset)
        limits = SigningLimits(self._policy.signatures_per_hour, _NO_BOUND, _NO_BOUND)
        return self._sweeps if order.kind is PaymentKind.SWEEP else self._room, limits

    def _parsed(self, fields: Mapping[str, Any]) -> OwnOrder | Refused:
        is_return = fields.get("kind") == PaymentKind.RETURN
        if set(fields) != (_RETURN_FIELDS if is_return else _ORDER_FIELDS):
            return Refused(SignerRefusal.UNKNOWN_OR_MISSING_FIELD)
        if not all(isinstance(fields[name], str) for name in _ORDER_FIELDS):
            return Refused(SignerRefusal.MALFORMED_FIELD)
        if is_return and not isinstance(fields["approvals"], list):
            return Refused(SignerRefusal.MALFORMED_FIELD, "approvals")
        if not is_payment_id(fields["payment_id"]) or not _AMOUNT.fullmatch(fields["amount"]):
            return Refused(SignerRefusal.MALFORMED_FIELD, "payment_id or amount")
        if fields["kind"] not in _KINDS:
            return Refused(SignerRefusal.UNKNOWN_KIND, fields["kind"][:32])
        asset = self._policy.assets.get(fields["asset"])
        if asset is None:
            return Refused(SignerRefusal.UNKNOWN_ASSET, fields["asset"][:32])
        kind = PaymentKind(fields["kind"])
        ends = self._ends(kind, fields["deposit_path"], fields["destination"])
        if isinstance(ends, Refused):
            return ends
        path, destination = ends
        if fields["destination"] != destination:
            return Refused(SignerRefusal.ADDRESS_NOT_ALLOWED, fields["destination"][:64])
        amount = int(fields["amount"])
        if kind is PaymentKind.GAS and (asset.contract is not None or amount > MAX_GAS_SUPPLY):
            return Refused(SignerRefusal.GAS_SUPPLY_TOO_LARGE)
        return OwnOrder(
            fields["payment_id"], kind, fields["asset"], asset.contract, amount, path, destination
        )

    def _ends(
        self, kind: PaymentKind, deposit_path: str, destination: str
    ) -> tuple[str, str] | Refused:
        """Return (the sender's path, the receiver's address), from the signer's own files.

        A return's receiver is in none of them: it is what officers have signed for.
        """
        if kind is PaymentKind.RETURN:
            if deposit_path or destination == self._hot_address:
                return Refused(SignerRefusal.ADDRESS_NOT_ALLOWED, destination[:64])
            return HOT_WALLET_PATH, destination
        if kind is PaymentKind.COLD:
            cold = self._cold_address()
            if cold is None:
                return Refused(SignerRefusal.NO_COLD_ADDRESS)
            return HOT_WALLET_PATH, cold
        found = _PATH.fullmatch(deposit_path)
        if found is None or int(found[1]) >= _LARGEST_INDEX:
            return Refused(SignerRefusal.MALFORMED_FIELD, "deposit_path")
        if kind is PaymentKind.SWEEP:
            return deposit_path, self._hot_address
        return HOT_WALLET_PATH, self._seed.address(deposit_path)

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
        if refusal is None and order.path == HOT_WALLET_PATH:
            refusal = self._journal.conflict(transaction.nonce, order.payment_id)
        if refusal is not None:
            return Refused(refusal)
        digest, at_seconds = transaction.signing_hash(), int(now.timestamp())
        if order.path == HOT_WALLET_PATH:
            self._journal.record(transaction.nonce, _journalled(order, at_seconds), digest)
        else:
            self._swept.record(_journalled(order, at_seconds))
        self._room_of(order)[0].give_back(order.payment_id)
        raw = transaction.signed(*signature_of(self._seed.private_key(order.path), digest))
        return SignedTransaction(raw, transaction_hash(raw), transaction.nonce)

    def _transaction_refusal(
        self, order: OwnOrder, transaction: Transaction
    ) -> SignerRefusal | None:
        """Return how the bytes differ from the order."""
        if transaction.chain_id != self._policy.chain_id:
            return SignerRefusal.WRONG_CHAIN
        if transaction.priority_fee > transaction.max_fee:
            return SignerRefusal.FEE_TOO_HIGH
        if not OWN_BOUNDS.admit(transaction.gas, transaction.max_fee):
            return SignerRefusal.FEE_TOO_HIGH
        if order.contract is None:
            if transaction.data or transaction.to != order.destination:
                return SignerRefusal.WRONG_RECEIVER
            same = transaction.value == order.amount
            return None if same else SignerRefusal.WRONG_AMOUNT
        if transaction.to != order.contract or transaction.value:
            return SignerRefusal.WRONG_CONTRACT
        paid = parse_transfer_call(transaction.data)
        if paid is None or paid[0] != order.destination:
            return SignerRefusal.WRONG_RECEIVER
        return None if paid[1] == order.amount else SignerRefusal.WRONG_AMOUNT


def _journalled(order: OwnOrder, at_seconds: int) -> Payment:
    """Return the journal's line; what goes cold is no part of what an asset may lose in an hour."""
    asset = f"{COLD_MARK}{order.asset}" if order.kind is PaymentKind.COLD else order.asset
    return Payment(order.payment_id, asset, order.amount, order.destination, at_seconds)
