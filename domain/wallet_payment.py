"""What the exchange pays by itself: sweeps, gas, what goes cold, refills and returns.

All are between its own addresses but a return, which pays a deposit in suspense back to its sender
and is signed for by two officers; its id is that of their adjustment.

planned -> numbered -> signed -> broadcast -> booked
planned -> dropped             nothing (left) to pay, or not worth its fee
numbered | signed | broadcast -> voiding    given up by two officers, as a withdrawal is
voiding -> voided              the void was mined: the gas is booked, the nonce is used up
voiding -> booked | reverted   the payment was mined before the void
broadcast -> reverted          mined but failed: the gas is booked, nothing has moved
signed | broadcast -> dropped  a refill whose nonce the cold wallet has used for something else

A refill begins as `signed`: it comes from the cold wallet by a file, and is stored before it is
sent.

Every step is a compare-and-set on the row's state, as a withdrawal's. From `numbered` on the row
holds everything that the transaction is made of, so that it is built the same however often.
Amounts and fees are chain units, prices of gas wei a gas unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from domain.approval import Decision, DecisionSubject
from domain.chain import FeeQuote
from domain.hash_chain import JsonValue
from domain.instrument import Asset
from domain.ledger import (
    JournalRequest,
    Posting,
    network_fees,
    suspense,
    wallet_cold,
    wallet_deposit,
    wallet_hot,
    withdrawal_pending,
)

STREAM = "wallet"


class PaymentKind(StrEnum):
    """Which way a payment goes; the signer knows no other ways, and signs no refill."""

    SWEEP = "sweep"  # a deposit address -> the hot wallet
    GAS = "gas"  # the hot wallet -> a deposit address, in the chain's coin, for a sweep of tokens
    COLD = "cold"  # the hot wallet -> the pinned cold address
    REFILL = "refill"  # a cold address -> the hot wallet, signed by the cold wallet
    RETURN = "return"  # the hot wallet -> the sender of a deposit in suspense


FROM_HOT = frozenset({PaymentKind.GAS, PaymentKind.COLD, PaymentKind.RETURN})


class PaymentState(StrEnum):
    """Where a payment stands; the business row's `state`."""

    PLANNED = "planned"
    NUMBERED = "numbered"  # it owns a nonce of its source; amount and fees are fixed
    SIGNED = "signed"  # the raw transaction is stored
    BROADCAST = "broadcast"  # a node has taken the transaction
    BOOKED = "booked"  # mined, deep enough, and in the ledger
    REVERTED = "reverted"
    DROPPED = "dropped"
    VOIDING = "voiding"  # payment or void, whichever is mined
    VOIDED = "voided"


_State = PaymentState
NEXT_STATES: dict[PaymentState, frozenset[PaymentState]] = {
    _State.PLANNED: frozenset({_State.NUMBERED, _State.DROPPED}),
    _State.NUMBERED: frozenset({_State.SIGNED, _State.VOIDING}),
    _State.SIGNED: frozenset({_State.BROADCAST, _State.DROPPED, _State.VOIDING}),
    _State.BROADCAST: frozenset({_State.BOOKED, _State.REVERTED, _State.DROPPED, _State.VOIDING}),
    _State.VOIDING: frozenset({_State.BOOKED, _State.REVERTED, _State.VOIDED}),
    _State.VOIDED: frozenset(),
    _State.BOOKED: frozenset(),
    _State.REVERTED: frozenset(),
    _State.DROPPED: frozenset(),
}
VOIDABLE_STATES = frozenset({_State.NUMBERED, _State.SIGNED, _State.BROADCAST})
FINAL_STATES = frozenset(state for state, following in NEXT_STATES.items() if not following)
STAGE_OF: dict[PaymentState, str] = {
    _State.PLANNED: "nonce",
    _State.NUMBERED: "sign",
    _State.SIGNED: "broadcast",
    _State.BROADCAST: "confirm",
    _State.VOIDING: "void",
    **{state: str(state) for state in FINAL_STATES},
}

WALLET_PAYMENT_WORKFLOW = "WalletPaymentWorkflow"
WALLET_PAYMENT_SUMMARY = "A payment between the exchange's own addresses: nonce, sign, send, book"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def wallet_payment_workflow_id(payment_id: str) -> str:
    """Return the workflow's id, which is the audit log's subject too."""
    return f"payment-{payment_id}"


@dataclass(frozen=True, slots=True)
class WalletPaymentRequest:
    """The argument of the workflow `payment-{payment_id}` (`WalletPaymentWorkflow`)."""

    payment_id: str


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment to be made; `deposit_path` is the derivation path of its deposit address, or ""."""

    kind: PaymentKind
    chain: str
    source: str
    destination: str
    asset_id: int
    amount: int
    deposit_path: str = ""


@dataclass(frozen=True, slots=True)
class WalletPayment:
    """The business row with its asset. `gas` and the fees are set with the nonce."""

    payment_id: str
    kind: PaymentKind
    chain: str
    source: str
    destination: str
    deposit_path: str
    asset: Asset
    contract: str | None
    amount: int
    confirmations: int
    state: PaymentState
    nonce: int | None = None
    gas: int | None = None
    fees: FeeQuote | None = None
    deposit_id: str = ""  # of a return
    approvals: tuple[Decision, ...] = ()  # of a return, as stored: the signer counts them

    @property
    def address(self) -> str:
        """Return who is paid."""
        return self.destination

    @property
    def net_amount(self) -> int:
        """Return what arrives."""
        return self.amount

    @property
    def subject(self) -> str:
        """Return the name under which the audit log and Temporal know it."""
        return wallet_payment_workflow_id(self.payment_id)

    @property
    def is_voidable(self) -> bool:
        """Return whether two officers may give it up, if it is parked.

        Only what the hot wallet pays has a nonce behind which customers wait.
        """
        return self.kind in FROM_HOT and self.state in VOIDABLE_STATES

    @property
    def void_subject(self) -> DecisionSubject:
        """Return what the officers sign; there is no customer."""
        code, nonce = self.asset.code, self.nonce
        return DecisionSubject(self.payment_id, 0, code, self.amount, self.destination, nonce)

    @property
    def max_cost(self) -> int:
        """Return the most that the transaction takes in the chain's coin beside its amount."""
        assert self.gas is not None
        assert self.fees is not None
        return self.gas * self.fees.max_fee

    def order(self) -> dict[str, Any]:
        """Return what the signer is asked: it derives our addresses itself and compares."""
        approvals = [asdict(approval) for approval in self.approvals]
        return {
            "payment_id": self.payment_id,
            "kind": self.kind,
            "asset": self.asset.code,
            "amount": str(self.amount),
            "deposit_path": self.deposit_path,
            "destination": self.destination,
            **({"approvals": approvals} if self.kind is PaymentKind.RETURN else {}),
        }


@dataclass(frozen=True, slots=True)
class PaymentChange:
    """One step of the state machine with all that must happen in its transaction."""

    source: PaymentState
    target: PaymentState
    detail: Mapping[str, JsonValue]
    columns: Mapping[str, object] = field(default_factory=dict)
    journal: JournalRequest | None = None


def accounts(kind: str, chain: str, asset: str) -> tuple[str, str]:
    """Return the accounts (source, destination) of a kind of payment, of the wallet where ours."""
    hot = wallet_hot(chain, asset)
    if kind == PaymentKind.RETURN:
        return hot, withdrawal_pending(asset)
    if kind == PaymentKind.SWEEP:
        return wallet_deposit(chain, asset), hot
    if kind == PaymentKind.GAS:
        return hot, wallet_deposit(chain, asset)
    cold = wallet_cold(chain, asset)
    return (cold, hot) if kind == PaymentKind.REFILL else (hot, cold)


def booking(row: WalletPayment, tx_hash: str, fee: int, *, succeeded: bool) -> JournalRequest:
    """Return what a mined payment does in the ledger; wallet accounts hold minus the coins.

    The network's fee is an expense, taken from the coins of whoever sent the transaction. What a
    return did not pay is in suspense again.
    """
    source, destination = accounts(row.kind, row.chain, row.asset.code)
    postings = []
    if succeeded:
        postings.append(Posting(destination, source, row.asset.code, row.amount))
    else:
        postings += handed_back(row)
    if fee:
        payer, _ = accounts(row.kind, row.chain, row.chain)
        postings.append(Posting(network_fees(row.chain), payer, row.chain, fee))
    return JournalRequest(
        stream=STREAM,
        key=f"{row.subject}-{'booked' if succeeded else 'reverted'}",
        kind=f"wallet_{row.kind}" if succeeded else "wallet_payment_reverted",
        postings=tuple(postings),
        detail={"payment": row.subject, "tx_hash": tx_hash},
    )


def void_booking(row: WalletPayment, tx_hash: str, fee: int) -> JournalRequest:
    """Return what a mined void does in the ledger: the hot wallet has paid for its gas.

    The money of a return is in suspense again.
    """
    coin = row.chain
    gas = [Posting(network_fees(coin), wallet_hot(row.chain, coin), coin, fee)] if fee else []
    return JournalRequest(
        stream=STREAM,
        key=f"{row.subject}-{PaymentState.VOIDED}",
        kind="wallet_payment_voided",
        postings=(*handed_back(row), *gas),
        detail={"payment": row.subject, "tx_hash": tx_hash},
    )


def handed_back(row: WalletPayment) -> list[Posting]:
    """Return what happens to the money of a return that is not made."""
    if row.kind is not PaymentKind.RETURN:
        return []
    asset = row.asset.code
    return [Posting(withdrawal_pending(asset), suspense(asset), asset, row.amount)]


def dropping(row: WalletPayment, why: str) -> PaymentChange:
    """Return the change of a payment that is not made, from wherever it stands."""
    postings = tuple(handed_back(row))
    journal = JournalRequest(
        stream=STREAM,
        key=f"{row.subject}-dropped",
        kind="wallet_payment_dropped",
        postings=postings,
        detail={"payment": row.subject},
    )
    return PaymentChange(
        source=row.state,
        target=PaymentState.DROPPED,
        detail={"why": why},
        journal=journal if postings else None,
    )


def is_payment_id(text: str) -> bool:
    """Return whether `text` has the form of a payment's id."""
    return _UUID.fullmatch(text) is not None
