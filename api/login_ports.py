"""What the API needs from outside for customers' own keys; adapters arrive by constructor.

A store that cannot be reached raises the built-in `ConnectionError`.
"""

from __future__ import annotations

from typing import Protocol

from domain.api_keys import KeyRefusal, ListedKey, MadeKey, NewKey


class OwnKeys(Protocol):
    """A customer's own API keys, from PostgreSQL; `by` is who changes them, for the audit log."""

    async def listed(self, customer_id: int) -> list[ListedKey]:
        """Return the keys that are not revoked, oldest first."""

    async def add(self, customer_id: int, wanted: NewKey, *, by: str) -> MadeKey | KeyRefusal:
        """Make a key."""

    async def revoke(self, customer_id: int, key_id: str, *, by: str) -> ListedKey | None:
        """Revoke a key and return it; None when the customer has no such key."""
