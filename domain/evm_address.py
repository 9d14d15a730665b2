"""Addresses of EVM chains, and the mixed-case checksum that catches a mistyped one (EIP-55)."""

from __future__ import annotations

import re
from collections.abc import Callable

Keccak256 = Callable[[bytes], bytes]  # the standard library has SHA-3, but not its forerunner

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
ZERO_ADDRESS = "0x" + "0" * 40


def checksum_address(address: str, keccak256: Keccak256) -> str:
    """Return `address` (0x and 40 hex digits, any case) in checksum form.

    A letter is upper case where the hash of the lower-case digits has a hex digit of 8 or more.
    """
    if _ADDRESS.fullmatch(address) is None:
        raise ValueError(f"not an address: {address[:64]!r}")
    digits = address[2:].lower()
    shade = keccak256(digits.encode("ascii")).hex()
    return "0x" + "".join(
        digit.upper() if int(tone, 16) >= 8 else digit
        for digit, tone in zip(digits, shade, strict=False)
    )


def is_checksum_address(text: str, keccak256: Keccak256) -> bool:
    """Return whether `text` is an address whose letters carry the right checksum.

    All-lower and all-upper spellings are refused: they carry no checksum, and a withdrawal to a
    mistyped address cannot be taken back.
    """
    return _ADDRESS.fullmatch(text) is not None and checksum_address(text, keccak256) == text
