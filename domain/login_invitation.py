"""Invitations to make a login, or to make it anew: two officers sign, each hands over a half.

Whoever has both halves chooses the password and enrols a second factor. No single person of the
staff ever has both, so none can sign in as a customer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.hash_chain import JsonValue, canonical_json
from domain.two_signatures import PROPOSED, reason_refusal

INVITATION_SECONDS = 24 * 3600


class InvitationState(StrEnum):
    """Where an invitation stands; the row's `state`."""

    PROPOSED = PROPOSED
    SIGNED = "signed"  # by two: it may be used
    USED = "used"
    REPLACED = "replaced"  # by a later one of the same customer


def invitation_subject(invitation_id: str) -> str:
    """Return what the audit log calls it."""
    return f"login-invitation-{invitation_id}"


@dataclass(frozen=True, slots=True)
class LoginInvitation:
    """An invitation. `expiry` in seconds since 1970; `resets`: there was a login, which it ends."""

    invitation_id: str
    customer_id: int
    customer: str
    resets: bool
    reason: str
    expiry: int
    proposed_by: str
    state: InvitationState = InvitationState.PROPOSED

    noun = "invitation"
    action = "login-invitation"

    @property
    def is_open(self) -> bool:
        """Return whether it still takes signatures."""
        return self.state is InvitationState.PROPOSED

    def statement(self) -> str:
        """Return the one text that officers sign."""
        content: dict[str, JsonValue] = {
            "id": self.invitation_id,
            "action": self.action,
            "customer": self.customer,
            "customer_id": self.customer_id,
            "resets": self.resets,
            "reason": self.reason,
            "expiry": self.expiry,
        }
        return canonical_json(content).decode("ascii")


def invitation_refusal(reason: str) -> str | None:
    """Return why an invitation is none, in words, or None."""
    return reason_refusal("an invitation", reason)
