"""Keccak-256, the hash of EVM chains (the standard library's SHA3-256 pads differently)."""

from __future__ import annotations

from Crypto.Hash import keccak


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 of `data`."""
    return keccak.new(digest_bits=256, data=data).digest()
