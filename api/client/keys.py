"""Calls for one's own API keys."""

from __future__ import annotations

from api.client.call import Call, delete, get, part, send
from api.schemas.keys import KeyIn, KeyList, KeyOut, MadeKeyOut


def listed() -> Call[KeyList]:
    """List the keys that are not revoked."""
    return get(KeyList, "/v1/keys")


def make(key: KeyIn) -> Call[MadeKeyOut]:
    """Make a key; a secret is told once. A label that is taken is refused."""
    return send("POST", MadeKeyOut, "/v1/keys", key)


def revoke(key_id: str) -> Call[KeyOut]:
    """Revoke a key."""
    return delete(KeyOut, f"/v1/keys/{part(key_id)}")
