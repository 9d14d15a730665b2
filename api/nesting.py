"""How deep JSON may nest, asked before anything parses it.

Python's parser recurses on the stack of C. Its own bound is the interpreter's recursion limit, and
a library may raise that for the whole process (one for curves of signatures does, to 100,000): then
a body of brackets ends the process instead of raising an error.
"""

from __future__ import annotations

LARGEST_NESTING = 16
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[{]}")


def nested_too_deep(text: bytes) -> bool:
    """Return whether JSON nests deeper than `LARGEST_NESTING`; brackets in texts count, too."""
    openings = text.count(b"[") + text.count(b"{")
    return openings > LARGEST_NESTING and _nesting(text) > LARGEST_NESTING


def _nesting(text: bytes) -> int:
    depth = deepest = 0
    for byte in text.translate(None, _NO_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest
