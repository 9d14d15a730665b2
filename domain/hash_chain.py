"""Hash chains: each record's hash covers its content and the hash before it.

Whoever changes, drops or inserts a stored record breaks every hash that follows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

GENESIS = bytes(32)  # the hash before the first record

JsonValue = str | int | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]


class NotCanonicalError(ValueError):
    """The value does not survive a round trip through stored JSON (a float, a key not text)."""


def canonical_json(value: JsonValue) -> bytes:
    """Return `value` as the one JSON text that its hash is taken of: sorted, compact, ASCII.

    Floats are refused: a stored hash must be computable again, to the byte, from the database.
    """
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def link(previous: bytes, content: JsonValue) -> bytes:
    """Return the SHA-256 of the record that follows `previous` and holds `content`."""
    return hashlib.sha256(previous + canonical_json(content)).digest()


_PLAIN = frozenset({str, int, bool, type(None)})


def _refuse_floats(value: object) -> None:
    if type(value) in _PLAIN:
        return
    if type(value) is list:  # the long ones, thousands of entries a batch
        for item in value:
            if type(item) not in _PLAIN:
                _refuse_floats(item)
        return
    if isinstance(value, (str, int)):  # an enumeration's member
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise NotCanonicalError(f"a key that is not text: {key!r}")
            _refuse_floats(item)
    elif isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        for item in value:
            _refuse_floats(item)
    else:
        raise NotCanonicalError(f"not canonical in JSON: {type(value).__name__}")
