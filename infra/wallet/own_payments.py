"""The signer's part for payments between our own addresses: it derives both ends itself.

An order names a kind, an asset and a derivation path, and the signer knows three ways: from a
deposit address of its seed to the hot wallet, from the hot wallet to a deposit address of its seed
(the chain's coin, little of it), from the hot wallet to the address pinned as cold. Whatever the
rest of the exchange says, these coins go nowhere else; so no officer has to sign.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.hot_wallet import MAX_GAS_SUPPLY
from domain.signing_limits import OWN_BOUNDS, Payment, SigningLimits
from domain.wallet_payment import PaymentKind, is_payment_id
from infra.wallet.erc20 import parse_transfer_call
from infra.wallet.keys import DEPOSIT_ACCOUNT, DEPOSIT_BRANCH, HOT_WALLET_PATH, Seed
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
_KINDS = frozenset({PaymentKind.SWEEP, PaymentKind.GAS, PaymentKind.COLD})
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


class OwnPaymentSigner:
    """Checks and signs; sweeps are counted in memory, what the hot wallet pays in the journal.

    A sweep that is signed twice brings coins to the hot wallet twice, so it needs no journal, and
    has windows of its own. What leaves the hot wallet has its nonces among the withdrawals', and
    shares their `room`: gas counts in their amounts, what goes cold only in their number.
    `cold_address` is asked each time, so that pinning one takes no restart.
    """

    def __init__(
        self,
        seed: Seed,
        policy: SignerPolicy,
        journal: SignerJournal,
        room: SigningRoom,
        cold_address: Callable[[], str | None],
    ) -> None:
        self._seed = seed
        self._policy = policy
        self._journal = journal
        self._cold_address = cold_address
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
        room, limits = self._room_of(order)
        refused = room.keep(_journalled(order, int(now.timestamp())), limits)
        if refused is not None:
            room.give_back(order.payment_id)
        return refused or order

    def _room_of(self, order: OwnOrder) -> tuple[SigningRoom, SigningLimits]:
        """Return in which windows it needs room, and how much they have."""
        if order.kind is PaymentKind.GAS:
            return self._room, self._policy.limits(order.asset)
        limits = SigningLimits(self._policy.signatures_per_hour, _NO_BOUND, _NO_BOUND)
        return self._sweeps if order.kind is PaymentKind.SWEEP else self._room, limits

    def _parsed(self, fields: Mapping[str, Any]) -> OwnOrder | Refused:
        if set(fields) != _ORDER_FIELDS:
            return Refused(SignerRefusal.UNKNOWN_OR_MISSING_FIELD)
        if not all(isinstance(value, str) for value in fields.values()):
            return Refused(SignerRefusal.MALFORMED_FIELD)
        if not is_payment_id(fields["payment_id"]) or not _AMOUNT.fullmatch(fields["amount"]):
            return Refused(SignerRefusal.MALFORMED_FIELD, "payment_id or amount")
        if fields["kind"] not in _KINDS:
            return Refused(SignerRefusal.UNKNOWN_KIND, fields["kind"][:32])
        asset = self._policy.assets.get(fields["asset"])
        if asset is None:
            return Refused(SignerRefusal.UNKNOWN_ASSET, fields["asset"][:32])
        kind = PaymentKind(fields["kind"])
        ends = self._ends(kind, fields["deposit_path"])
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

    def _ends(self, kind: PaymentKind, deposit_path: str) -> tuple[str, str] | Refused:
        """Return (the sender's path, the receiver's address), both from the signer's own files."""
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
