"""Staff: who they are, what each role may do behind the login, and what a login signs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum


class StaffRole(StrEnum):
    """What somebody works as; one person may have several."""

    OPERATOR = "operator"  # looks at workflows, retries, ends and starts them
    APPROVER = "approver"  # decides by signature
    COMPLIANCE = "compliance"  # reads everything; keeps customers' files, and touches no workflow
    ADMIN = "admin"  # all that operators and compliance may


@dataclass(frozen=True, slots=True)
class StaffMember:
    """A member of staff with his Ed25519 key; 64 hex digits."""

    name: str
    public_key_hex: str
    roles: frozenset[StaffRole]

    def may_send_updates(self) -> bool:
        """Return whether he may send an update: a decision of his is signed, a retry harmless."""
        return bool(self.roles & {StaffRole.OPERATOR, StaffRole.APPROVER, StaffRole.ADMIN})

    def may_steer(self) -> bool:
        """Return whether he may start, signal, reset, pause and end workflows."""
        return bool(self.roles & {StaffRole.OPERATOR, StaffRole.ADMIN})

    def may_decide(self) -> bool:
        """Return whether his signature may count: the pinned officers are the approvers."""
        return StaffRole.APPROVER in self.roles

    def may_keep_files(self) -> bool:
        """Return whether he may freeze customers, let them in again, and write case notes."""
        return bool(self.roles & {StaffRole.COMPLIANCE, StaffRole.ADMIN})


def login_statement(origin: str, name: str, challenge: str) -> str:
    """Return what a login signs: bound to the origin, so that no other site can pass it on."""
    return json.dumps(
        {"action": "rialto-staff-login", "origin": origin, "name": name, "challenge": challenge},
        sort_keys=True,
        separators=(",", ":"),
    )
