"""A withdrawal: what may be asked for, and the states it goes through.

    requested -> held -> screened -> approved -> numbered -> signed -> broadcast -> confirmed
              -> settled
    requested -> rejected                                  the engine refused the debit
    held | screened | approved -> rejecting -> rejected    by policy, an officer or the deadline
    held | screened | approved -> cancelling -> cancelled  by the customer
    broadcast -> reverted -> rejecting -> rejected         mined but failed; by an officer only
    numbered | signed | broadcast -> voiding               given up, by two officers
    voiding -> voided -> rejecting -> rejected             the void was mined: nothing was paid
    voiding -> confirmed | reverted                        the payment was mined before the void

Every step is a compare-and-set on the row's state, so a step that runs twice acts once. From
`numbered` on nothing is released: a signed transaction may be mined as long as its nonce is free.
A reverted one has used its nonce up and paid nothing, for ever, and so has a mined void: a payment
of nothing to the hot wallet itself at the same nonce. Only these two can be released.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.approval import quorum
from domain.customer import Scope, standing_refuses
from domain.evm_address import ZERO_ADDRESS, Keccak256, is_checksum_address
from domain.hash_chain import JsonValue
from domain.instrument import Asset
from domain.ledger import JournalRequest
from domain.money import INT64_MAX, DecimalTextError
from domain.screening import ScreeningResult, Verdict
from domain.withdrawal_limits import Allowance, allowance_checks


class WithdrawalState(StrEnum):
    """Where a withdrawal stands; the business row's `state`."""

    REQUESTED = "requested"  # the engine has not answered the debit, or settlement not posted it
    HELD = "held"  # the amount is in withdrawal:pending
    SCREENED = "screened"  # the policy passed it
    APPROVED = "approved"  # enough officers signed, or none was needed
    NUMBERED = "numbered"  # it owns a nonce of the hot wallet
    SIGNED = "signed"  # the raw transaction is stored
    BROADCAST = "broadcast"  # a node has taken the transaction
    VOIDING = "voiding"  # two officers have given it up; payment or void, whichever is mined
    VOIDED = "voided"  # the void was mined, and deep enough: its gas is booked, nothing was paid
    CONFIRMED = "confirmed"  # mined, and deep enough
    SETTLED = "settled"  # booked
    REVERTED = "reverted"  # mined, deep enough, and failed: the gas is booked, nothing was paid
    REJECTING = "rejecting"  # the hold is being given back
    REJECTED = "rejected"
    CANCELLING = "cancelling"  # the hold is being given back
    CANCELLED = "cancelled"


_State = WithdrawalState
_RELEASES = frozenset({_State.REJECTING, _State.CANCELLING})
NEXT_STATES: dict[WithdrawalState, frozenset[WithdrawalState]] = {
    _State.REQUESTED: frozenset({_State.HELD, _State.REJECTED}),
    _State.HELD: frozenset({_State.SCREENED}) | _RELEASES,
    _State.SCREENED: frozenset({_State.APPROVED}) | _RELEASES,
    _State.APPROVED: frozenset({_State.NUMBERED}) | _RELEASES,
    _State.NUMBERED: frozenset({_State.SIGNED, _State.VOIDING}),
    _State.SIGNED: frozenset({_State.BROADCAST, _State.VOIDING}),
    _State.BROADCAST: frozenset({_State.CONFIRMED, _State.REVERTED, _State.VOIDING}),
    _State.VOIDING: frozenset({_State.CONFIRMED, _State.REVERTED, _State.VOIDED}),
    _State.VOIDED: frozenset({_State.REJECTING}),
    _State.CONFIRMED: frozenset({_State.SETTLED}),
    _State.SETTLED: frozenset(),
    _State.REVERTED: frozenset({_State.REJECTING}),
    _State.REJECTING: frozenset({_State.REJECTED}),
    _State.REJECTED: frozenset(),
    _State.CANCELLING: frozenset({_State.CANCELLED}),
    _State.CANCELLED: frozenset(),
}
FINAL_STATES = frozenset(state for state, following in NEXT_STATES.items() if not following)
RELEASABLE_STATES = frozenset({_State.HELD, _State.SCREENED, _State.APPROVED})
GIVEN_BACK_STATES = _RELEASES | {_State.REJECTED, _State.CANCELLED}  # count in no limit
CANCELLABLE_STATES = RELEASABLE_STATES | {_State.REQUESTED}  # by the customer
REJECTABLE_STATES = RELEASABLE_STATES | {_State.REVERTED}  # by an officer's signed decision
VOIDABLE_STATES = frozenset({_State.NUMBERED, _State.SIGNED, _State.BROADCAST})  # by two, if parked

# What is being done in a state; a step that cannot go on shows as "failed:<stage>".
STAGE_OF: dict[WithdrawalState, str] = {
    _State.REQUESTED: "hold",
    _State.HELD: "policy",
    _State.SCREENED: "approval",
    _State.APPROVED: "nonce",
    _State.NUMBERED: "sign",
    _State.SIGNED: "broadcast",
    _State.BROADCAST: "confirm",
    _State.VOIDING: "void",
    _State.VOIDED: "voided",
    _State.CONFIRMED: "settle",
    _State.SETTLED: "settled",
    _State.REVERTED: "reverted",
    _State.REJECTING: "release",
    _State.REJECTED: "rejected",
    _State.CANCELLING: "release",
    _State.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class WithdrawalRequest:
    """The argument of the workflow `withdrawal-{withdrawal_id}` (`WithdrawalWorkflow`).

    `request_id` is the HTTP request's, so that one id joins the gateway's log to the activities'.
    """

    withdrawal_id: str
    request_id: str = ""


WITHDRAWAL_WORKFLOW = "WithdrawalWorkflow"
CANCEL_REQUESTED = "cancel_requested"  # audit action, reason, and the signal that says: look
REPLACED = "replaced"  # audit action: a dearer transaction with the same nonce is stored
VOID_SIGNED = "void_signed"  # audit action: a void of the nonce is stored
RELEASE_BEGUN = "release_begun"  # audit action: the hold is on its way back
WITHDRAWAL_REFUSED = "withdrawal_refused"  # audit action, about the customer: it never became one
WITHDRAWAL_SUMMARY = "Withdrawal: hold, policy, approval, nonce, sign, broadcast, confirm, settle"


def withdrawal_workflow_id(withdrawal_id: str) -> str:
    """Return the workflow's id, which is also the audit log's subject."""
    return f"withdrawal-{withdrawal_id}"


@dataclass(frozen=True, slots=True)
class WithdrawalTerms:
    """What an asset demands of a withdrawal; amounts in chain units, from the asset's row."""

    asset: Asset
    minimum: int
    fee: int


class WithdrawalRefusal(StrEnum):
    """Why a request never becomes a withdrawal."""

    INVALID_AMOUNT = "invalid_amount"
    OVERFLOW = "overflow"
    BELOW_MINIMUM = "below_minimum"
    FEE_EXCEEDS_AMOUNT = "fee_exceeds_amount"
    INVALID_ADDRESS = "invalid_address"


@dataclass(frozen=True, slots=True)
class WithdrawalOrder:
    """A valid request: `amount` leaves the customer, `amount - fee` arrives; chain units."""

    amount: int
    fee: int
    address: str


def check_request(
    *, amount_text: str, address: str, terms: WithdrawalTerms, keccak256: Keccak256
) -> WithdrawalOrder | WithdrawalRefusal:
    """Return the order, or the first rule that the request breaks.

    The amount must be a whole number of engine units: it is taken from the trading balance.
    """
    try:
        amount_units = terms.asset.engine_units(amount_text)
    except DecimalTextError:
        return WithdrawalRefusal.INVALID_AMOUNT
    if amount_units == 0:
        return WithdrawalRefusal.INVALID_AMOUNT
    if amount_units > INT64_MAX:
        return WithdrawalRefusal.OVERFLOW
    amount = amount_units * terms.asset.chain_units_per_engine_unit
    if amount < terms.minimum:
        return WithdrawalRefusal.BELOW_MINIMUM
    if amount <= terms.fee:
        return WithdrawalRefusal.FEE_EXCEEDS_AMOUNT
    if not is_payable(address, keccak256):
        return WithdrawalRefusal.INVALID_ADDRESS
    return WithdrawalOrder(amount=amount, fee=terms.fee, address=address)


def is_payable(address: str, keccak256: Keccak256) -> bool:
    """Return whether it is an address with its checksum, and not the zero address."""
    return is_checksum_address(address, keccak256) and address != ZERO_ADDRESS


POLICY_VERSION = 4


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What the policy knows of the world when it looks at a withdrawal."""

    own_addresses: frozenset[str]  # hot wallet, cold addresses, token contracts
    screenings: Mapping[str, ScreeningResult]
    allowance: Allowance


def policy_checks(address: str, standing: str, facts: PolicyFacts) -> dict[str, bool]:
    """Return each rule, in order of precedence, with whether customer and destination pass it.

    A payment to the hot wallet itself, or to a cold address, would turn the customer's money into
    the owners', one to a token's contract would be lost.
    """
    return {
        "customer_may_withdraw": not standing_refuses(standing, Scope.WITHDRAW),
        "destination_is_own_address": address not in facts.own_addresses,
        **{
            f"not_blocked_by_{name}": result.verdict is not Verdict.BLOCKED
            for name, result in facts.screenings.items()
        },
        **allowance_checks(facts.allowance),
    }


def policy_refusal(checks: Mapping[str, bool]) -> str | None:
    """Return the name of the first rule that refuses, or None."""
    return next((rule for rule, passed in checks.items() if not passed), None)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The business row with its asset, as every step sees it; amounts in chain units."""

    withdrawal_id: str
    customer_id: int
    asset: Asset
    chain: str
    contract: str | None
    amount: int
    fee: int
    address: str
    state: WithdrawalState
    stage: str
    reason: str | None
    transfer_id: str
    release_transfer_id: str | None
    nonce: int | None
    tx_hash: str | None
    block_number: int | None
    network_fee: int | None
    confirmations: int
    approval_above: int
    standing: str  # the customer's, now
    created_at: dt.datetime
    review: str | None = None  # why an officer has to sign, whatever the amount
    value_cents: int | None = None  # in USD, when it was asked for; None without a price
    screened_at: dt.datetime | None = None  # when it reached the officers
    cancel_requested: bool = False  # by the customer, through the signed API

    @property
    def net_amount(self) -> int:
        """Return what the chain carries to the customer: the amount without the fee."""
        return self.amount - self.fee

    @property
    def approvals_needed(self) -> int:
        """Return how many officers must approve."""
        return quorum(self.amount, self.approval_above, reviewed=self.review is not None)

    @property
    def amount_units(self) -> int:
        """Return the amount in engine units; exact, by `check_request`."""
        return self.amount // self.asset.chain_units_per_engine_unit

    @property
    def subject(self) -> str:
        """Return the name under which the audit log and Temporal know it."""
        return withdrawal_workflow_id(self.withdrawal_id)


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """A signed transaction of a withdrawal; all of one withdrawal have its nonce."""

    tx_hash: str
    raw: bytes
    replacement: int  # 0 is the first one
    signed_at: dt.datetime
    voids: bool = False  # pays nobody: it only uses the nonce up


@dataclass(frozen=True, slots=True)
class StateChange:
    """One step of the state machine with all that must happen in its transaction.

    `columns` are further columns of the row; `journal` moves the money.
    """

    source: WithdrawalState
    target: WithdrawalState
    detail: Mapping[str, JsonValue]
    actor: str = "wallet"
    columns: Mapping[str, object] = field(default_factory=dict)
    journal: JournalRequest | None = None
