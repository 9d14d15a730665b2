"""What staff may decide about something that waits, and what comes of each choice.

The words are read before a signature is made, so they say what cannot be undone.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.approval import APPROVE, REJECT, VOID, VOID_SIGNATURES
from domain.two_signatures import SIGNATURES_NEEDED
from domain.withdrawal import REJECTABLE_STATES, VOIDABLE_STATES, WithdrawalState

RETRY = "retry"
SIGN = "sign"
ABANDON = "abandon"
RELEASE = "release"
RETURN = "return"
_RENEWABLE_STATES = frozenset(
    {WithdrawalState.APPROVED, WithdrawalState.NUMBERED, WithdrawalState.BROADCAST}
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that may be done, in the order in which it is offered.

    `is_signed`: it counts only with an officer's own signature.
    """

    action: str
    effect: str
    is_signed: bool


def withdrawal_choices(
    state: WithdrawalState, *, is_parked: bool, needed: int, approved: int, voided: int = 0
) -> tuple[Choice, ...]:
    """Return what may be decided about a withdrawal; the workflow checks the same again.

    `needed` officers must approve, `approved` of them have; `voided` have given it up.
    """
    found = []
    if state is WithdrawalState.SCREENED:
        found.append(Choice(APPROVE, _approval(needed, approved), is_signed=True))
    elif is_parked and state in _RENEWABLE_STATES:
        effect = "Renews your approval, or lets a review pass. Nothing is paid before a retry."
        found.append(Choice(APPROVE, effect, is_signed=True))
    if state in REJECTABLE_STATES:
        found.append(Choice(REJECT, _rejection(state), is_signed=True))
    if is_parked and state in VOIDABLE_STATES:
        found.append(Choice(VOID, _void(voided), is_signed=True))
    elif is_parked and state is WithdrawalState.VOIDING:
        effect = "Renews your signature for the void. Nothing is signed before a retry."
        found.append(Choice(VOID, effect, is_signed=True))
    if is_parked:
        found.append(retry_choice())
    return tuple(found)


def _approval(needed: int, approved: int) -> str:
    if approved + 1 >= needed:
        return (
            "This is the last signature that is needed: it is paid, and what is paid "
            "cannot be called back."
        )
    return (
        f"Signature {approved + 1} of {needed}: it waits for another officer, and is paid "
        "when all have signed."
    )


def _rejection(state: WithdrawalState) -> str:
    if state is WithdrawalState.REVERTED:
        return (
            "The payment failed on the chain, which is asked once more; then the amount goes "
            "back to the customer, for good."
        )
    return "The amount goes back to the customer's balance, and this withdrawal has ended for good."


def _void(voided: int) -> str:
    what = (
        "the payment is given up: its nonce is used up, and once that is mined the amount goes "
        "back to the customer. If the payment is mined first after all, it is paid."
    )
    if voided + 1 >= VOID_SIGNATURES:
        return f"This is the last signature that is needed: {what}"
    return f"Signature {voided + 1} of {VOID_SIGNATURES}; with the last {what}"


def retry_choice() -> Choice:
    """Return the choice to run the step again on which something has parked."""
    effect = "The step is tried again. It looks at the row first, so a retry pays nothing twice."
    return Choice(RETRY, effect, is_signed=False)


def signing_choice(signatures: int, done_then: str) -> Choice:
    """Return the choice to sign a proposal; `done_then` is what the last signature does."""
    if signatures + 1 >= SIGNATURES_NEEDED:
        effect = f"This is the second signature: {done_then}."
    else:
        effect = f"Signature {signatures + 1} of {SIGNATURES_NEEDED}; with the second {done_then}."
    return Choice(SIGN, effect, is_signed=True)


def abandoning_choice() -> Choice:
    """Return the choice to give a change of a market up."""
    effect = "The change is given up, as long as the engine has not carried it out."
    return Choice(ABANDON, effect, is_signed=False)


def return_choice() -> Choice:
    """Return the choice to propose that a deposit in suspense is paid back."""
    effect = (
        "Proposes to pay the whole amount back to the address that sent it, from the hot wallet. "
        "Nothing moves before two officers have signed the proposal; a contract's or an exchange's "
        "address is refused, and one that screening blocks."
    )
    return Choice(RETURN, effect, is_signed=False)


def release_choice() -> Choice:
    """Return the choice to propose that a deposit in suspense is released."""
    effect = (
        "Proposes to give it to a customer's main account. Nothing moves before two officers "
        "have signed the proposal."
    )
    return Choice(RELEASE, effect, is_signed=False)
