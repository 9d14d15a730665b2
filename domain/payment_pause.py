"""The pause: one officer stops all payments out, two let them go on.

Both statements are signed texts. The gate before a nonce reads the row, the signer a file of
its own, in which it checks the signatures to go on. Money of customers stays held meanwhile, and
they may cancel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.approval import Officer, VerifySignature
from domain.hash_chain import JsonValue, canonical_json
from domain.two_signatures import SIGNATURES_NEEDED, is_signed

PAUSE = "pause_payments"
RESUME = "resume_payments"
PAUSED = "paused"  # how the gate's word begins
PAUSE_NOTICE = "Payments are paused. Your money is held; you may cancel."


class PauseState(StrEnum):
    """The row's `state`."""

    IN_FORCE = "in_force"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class PaymentPause:
    """Who paused, why, and since when (seconds since 1970)."""

    pause_id: str
    officer: str
    reason: str
    at: int

    def statement(self) -> str:
        """Return the text that the officer signs to pause."""
        return self._text(PAUSE)

    def resumption(self) -> str:
        """Return the text that two officers sign to go on."""
        return self._text(RESUME)

    def _text(self, action: str) -> str:
        fields: dict[str, JsonValue] = {
            "id": self.pause_id,
            "action": action,
            "officer": self.officer,
            "reason": self.reason,
            "at": self.at,
        }
        return canonical_json(fields).decode("ascii")

    @property
    def told(self) -> str:
        """Return it in words, for operators."""
        return f"{PAUSED} by {self.officer}: {self.reason}; `rialto wallet resume` by two officers"


def resumed_by(
    pause: PaymentPause,
    signatures: Mapping[str, str],
    officers: Mapping[str, Officer],
    verify: VerifySignature,
) -> list[str]:
    """Return the officers ({name: signature, hex}) whose word to go on counts, one for each key."""
    text, keys, names = pause.resumption(), set(), []
    for name, signature in sorted(signatures.items()):
        officer = officers.get(name)
        if officer is None or officer.public_key_hex in keys:
            continue
        if is_signed(officer, text, signature, verify):
            keys.add(officer.public_key_hex)
            names.append(name)
    return names


def is_resumed(
    pause: PaymentPause,
    signatures: Mapping[str, str],
    officers: Mapping[str, Officer],
    verify: VerifySignature,
) -> bool:
    """Return whether enough officers have let payments go on."""
    return len(resumed_by(pause, signatures, officers, verify)) >= SIGNATURES_NEEDED
