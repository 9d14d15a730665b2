"""What a binary door allows one client, and how many of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """The same for both loops. Beyond `max_in_flight` commands a client is not read further.

    HELLO is waited for, but less long when all places are taken and one more client comes: who is
    silent does not keep others out.
    """

    handshake_seconds: float = 5.0
    hurried_handshake_seconds: float = 0.5
    max_in_flight: int = 20_000
    max_unsent_bytes: int = 32 << 20  # a client that reads slower than this is closed
    max_connections: int = 256


DEFAULT_LIMITS = DoorLimits()
