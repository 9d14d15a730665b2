"""One record of the audit log, and what its hash covers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.hash_chain import GENESIS, JsonValue, link


class AuditConflictError(Exception):
    """An audit key was used again for another record; a bug in the caller."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """Who (`actor`) did what (`action`) to what (`subject`), once per `key`.

    `at` is UTC. `hash` is the stored hash; a record that is about to be written has none yet.
    """

    audit_id: int
    subject: str
    actor: str
    action: str
    key: str
    detail: Mapping[str, JsonValue]
    at: datetime
    previous_hash: bytes
    hash: bytes = b""

    def computed_hash(self) -> bytes:
        """Return the hash that the content and the hash before it give."""
        return link(
            self.previous_hash,
            [
                self.audit_id,
                self.subject,
                self.actor,
                self.action,
                self.key,
                self.detail,
                self.at.isoformat(timespec="microseconds"),
            ],
        )


def record_fault(record: AuditRecord, before: bytes | None) -> str | None:
    """Return what is wrong with a stored record, or None.

    `before` is the hash of the record with the number before it; None when there is no such record.
    """
    if record.hash != record.computed_hash():
        return "changed since it was written"
    expected = GENESIS if record.audit_id == 1 else before
    if expected is None:
        return f"record {record.audit_id - 1} before it is missing"
    if record.previous_hash != expected:
        return f"not chained to record {record.audit_id - 1}"
    return None
