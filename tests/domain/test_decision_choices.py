"""What may be decided in each state, and the words that are read before it is."""

from __future__ import annotations

import pytest

from domain.decision_choices import signing_choice, withdrawal_choices
from domain.withdrawal import WithdrawalState

_State = WithdrawalState


@pytest.mark.parametrize(
    ("state", "is_parked", "actions"),
    [
        (_State.REQUESTED, True, ["retry"]),
        (_State.HELD, True, ["reject", "retry"]),
        (_State.SCREENED, False, ["approve", "reject"]),
        (_State.SCREENED, True, ["approve", "reject", "retry"]),
        (_State.APPROVED, False, ["reject"]),
        (_State.APPROVED, True, ["approve", "reject", "retry"]),
        (_State.NUMBERED, True, ["approve", "void", "retry"]),
        (_State.SIGNED, True, ["void", "retry"]),
        (_State.BROADCAST, True, ["approve", "void", "retry"]),
        (_State.VOIDING, True, ["void", "retry"]),
        (_State.VOIDING, False, []),
        (_State.CONFIRMED, True, ["retry"]),
        (_State.REVERTED, True, ["reject", "retry"]),
        (_State.CANCELLING, True, ["retry"]),
        (_State.SETTLED, False, []),
    ],
)
def test_choices_are_those_that_the_workflow_takes(
    state: WithdrawalState, is_parked: bool, actions: list[str]
) -> None:
    """From the nonce on nothing is given back; a retry is there only where something is parked."""
    found = withdrawal_choices(state, is_parked=is_parked, needed=1, approved=0)
    assert [choice.action for choice in found] == actions
    assert [choice.is_signed for choice in found] == [action != "retry" for action in actions]


def test_the_last_signature_says_that_it_is_the_last() -> None:
    """The one before says that another officer must sign."""
    first, last = (
        withdrawal_choices(_State.SCREENED, is_parked=False, needed=2, approved=count)[0].effect
        for count in (0, 1)
    )
    assert first.startswith("Signature 1 of 2: it waits for another officer")
    assert "cannot be called back" in last
    assert (
        signing_choice(0, "it is posted").effect
        == "Signature 1 of 2; with the second it is posted."
    )
    assert signing_choice(1, "it is posted").effect == "This is the second signature: it is posted."


def test_giving_up_says_what_becomes_of_the_payment() -> None:
    """One officer alone gives nothing up."""
    first, last = (
        withdrawal_choices(_State.SIGNED, is_parked=True, needed=0, approved=0, voided=count)[0]
        for count in (0, 1)
    )
    assert first.effect.startswith("Signature 1 of 2; with the last the payment is given up")
    assert last.effect.startswith("This is the last signature that is needed")
    assert "it is paid" in last.effect
