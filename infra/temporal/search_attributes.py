"""The search attributes that a Temporal server must know: names and types.

`workflows/search_attributes.py` has the typed keys that workflows upsert; a test compares both.
"""

from __future__ import annotations

SEARCH_ATTRIBUTES: dict[str, str] = {
    "AccountId": "Keyword",
    "Asset": "Keyword",
    "Stage": "Keyword",
    "Symbol": "Keyword",
    "Shard": "Int",
    "NotionalUsd": "Double",
    "Lag": "Int",
}


def server_flags() -> list[str]:
    """Return the flags with which `temporal server start-dev` registers all of them."""
    return [
        part
        for name, kind in SEARCH_ATTRIBUTES.items()
        for part in ("--search-attribute", f"{name}={kind}")
    ]
