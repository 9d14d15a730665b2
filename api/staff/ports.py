"""What the staff's origin needs from outside; adapters arrive by constructor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from api.staff.shapes import (
    CustomerFile,
    Done,
    Link,
    ParkedWork,
    ProposedWork,
    Refused,
    StoppedPayments,
    SuspenseItem,
    WithdrawalWork,
)
from domain.approval import Decision, VerifySignature
from domain.customer import Standing
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


class Work(Protocol):
    """What waits for somebody's decision; `ConnectionError` when it cannot be known."""

    async def withdrawals(self) -> Sequence[WithdrawalWork]:
        """Return the withdrawals that wait for officers or are parked, oldest first."""

    async def parked(self) -> Sequence[ParkedWork]:
        """Return what else is parked."""

    async def suspense(self) -> Sequence[SuspenseItem]:
        """Return the deposits in suspense, oldest first."""

    async def proposals(self) -> Sequence[ProposedWork]:
        """Return the adjustments and changes of markets that wait for signatures."""

    async def stopped(self) -> Sequence[StoppedPayments]:
        """Return what stops payments out: the gate before each nonce, the signer, or both."""

    def links(self) -> Sequence[Link]:
        """Return the named searches in Temporal's UI, as of now."""


class Desk(Protocol):
    """Carries out what staff decides; `ConnectionError` when a server that it needs is away.

    `TimeoutError` when it was handed over and nobody has answered: it may still happen.
    """

    async def decide(self, workflow_id: str, decision: Decision) -> Done | Refused:
        """Hand an officer's signed decision over to the workflow that it is about."""

    async def retry(self, workflow_id: str, by: str, reason: str) -> Done | Refused:
        """Try a parked step again."""

    async def abandon(self, workflow_id: str, by: str, reason: str) -> Done | Refused:
        """Give a change of a market up."""

    async def propose_release(
        self, deposit_id: str, customer: str, by: str, reason: str
    ) -> Done | Refused:
        """Propose to release a deposit in suspense to a customer, by name."""

    async def propose_return(self, deposit_id: str, by: str, reason: str) -> Done | Refused:
        """Propose to pay a deposit in suspense back to its sender."""


class Files(Protocol):
    """Customers' files; each look leaves a record with its `reader`, before it is read."""

    async def story(self, withdrawal_id: UUID, reader: str) -> Mapping[str, Any] | None:
        """Return the story of a withdrawal for JSON; None when the log knows none."""

    async def customer(self, who: str, reader: str) -> CustomerFile | None:
        """Return the file of a customer, by name or number."""

    async def set_standing(
        self, customer_id: int, standing: Standing, by: str, reason: str
    ) -> Done | Refused:
        """Say what the customer may do; whoever may trade no more has his orders cancelled."""

    async def note(self, customer_id: int, by: str, text: str) -> Done | Refused:
        """Append a case note."""


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
    work: Work
    desk: Desk
    files: Files
    workflows_path: str = "/namespaces/rialto/workflows"
