"""Identity of an order as its owner chose it."""

from __future__ import annotations

import hashlib
import re

CLIENT_ORDER_ID_PATTERN = r"^[A-Za-z0-9._:-]{1,36}$"
_CLIENT_ORDER_ID = re.compile(CLIENT_ORDER_ID_PATTERN)


def is_client_order_id(text: str) -> bool:
    """Return whether `text` may name an order: 1-36 letters, digits, `.`, `_`, `:` or `-`."""
    return _CLIENT_ORDER_ID.fullmatch(text) is not None


def client_key(text: str) -> int:
    """Return the 128-bit key under which the engine knows the client order id `text`.

    The first 16 bytes of SHA-256, little endian. A collision needs about 2**64 hashes and could
    only hurt the account that searched for it, as keys are scoped to the account.
    """
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:16], "little") or 1
