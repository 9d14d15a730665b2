"""What the staff's origin needs from outside; adapters arrive by constructor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from domain.approval import VerifySignature
from domain.hash_chain import JsonValue
from domain.staff import StaffMember


class Directory(Protocol):
    """Who belongs to the staff now."""

    def find(self, name: str) -> StaffMember | None:
        """Return the member, or None."""


class Sessions(Protocol):
    """Challenges and sessions; `ConnectionError` when they cannot be known."""

    async def challenge(self, name: str) -> str:
        """Return a challenge for `name`."""

    async def take_challenge(self, name: str, challenge: str) -> bool:
        """Return whether the challenge is `name`'s; it is used up."""

    async def allow_attempt(self, who: str, most: int) -> bool:
        """Count an attempt; False beyond `most` in a minute."""

    async def open(self, name: str, public_key_hex: str) -> str:
        """Begin a session and return its token."""

    async def holder(self, token: str) -> tuple[str, str] | None:
        """Return (name, public key of the login), or None."""

    async def close(self, token: str) -> None:
        """End a session."""

    async def first_in_an_hour(self, token: str, what: str) -> bool:
        """Return whether the session does `what` for the first time within the hour."""

    async def forget(self, token: str, what: str) -> None:
        """Let `what` be new again."""


class Records(Protocol):
    """The audit log; `ConnectionError` when nothing can be written."""

    async def append(
        self, name: str, subject: str, action: str, detail: Mapping[str, JsonValue]
    ) -> None:
        """Write down what a member did."""


class Codec(Protocol):
    """Seals and opens payloads in JSON; `ValueError` for what is none."""

    async def encode(self, body: bytes) -> bytes:
        """Return the payloads, sealed."""

    async def decode(self, body: bytes) -> bytes:
        """Return the payloads, opened."""


class Answer(Protocol):
    """What Temporal's UI said."""

    @property
    def status(self) -> int:
        """Return the HTTP status."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers, names in lower case."""

    @property
    def body(self) -> AsyncIterator[bytes]:
        """Return the parts of the body."""


class Ui(Protocol):
    """Temporal's UI; `ConnectionError` when it is away."""

    async def forward(
        self, method: str, target: bytes, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Pass a request on."""


@dataclass(frozen=True, slots=True)
class StaffServices:
    """Everything that the staff's origin is made of. `origin` is what browsers call it."""

    origin: str
    directory: Directory
    sessions: Sessions
    records: Records
    codec: Codec
    ui: Ui
    verify: VerifySignature
    workflows_path: str = "/namespaces/rialto/workflows"
