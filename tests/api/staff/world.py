"""What surrounds the staff's origin in tests: members with keys, and doubles that take notes."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.staff.ports import StaffServices
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
from domain.approval import Decision
from domain.customer import Standing
from domain.hash_chain import JsonValue
from domain.staff import StaffMember, StaffRole, login_statement
from infra.wallet.officers import verify_ed25519

ORIGIN = "http://staff.test"


@dataclass
class Said:
    """What the double of the UI answers."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]


@dataclass
class World:
    """The application's surroundings, and what they have seen."""

    keys: dict[str, Ed25519PrivateKey] = field(default_factory=dict)
    roles: dict[str, StaffRole] = field(default_factory=dict)
    passed_on: list[tuple[str, bytes, dict[str, str], bytes]] = field(default_factory=list)
    records: list[tuple[str, str, str]] = field(default_factory=list)
    details: list[Mapping[str, JsonValue]] = field(default_factory=list)
    log_is_away: bool = False

    def find(self, name: str) -> StaffMember | None:
        """Return the member."""
        if name not in self.keys:
            return None
        key = self.keys[name].public_key().public_bytes_raw().hex()
        return StaffMember(name, key, frozenset({self.roles[name]}))

    async def append(
        self, name: str, subject: str, action: str, detail: Mapping[str, JsonValue]
    ) -> None:
        """Note a record."""
        if self.log_is_away:
            raise ConnectionError
        self.records.append((name, subject, action))
        self.details.append(detail)

    async def forward(
        self, method: str, target: bytes, headers: Mapping[str, str], body: bytes
    ) -> Said:
        """Note a request and answer as Temporal's UI might."""
        self.passed_on.append((method, target, dict(headers), body))

        async def parts() -> AsyncIterator[bytes]:
            yield b"the "
            yield b"UI"

        return Said(
            200, [(b"set-cookie", b"_csrf=abc; Path=/"), (b"content-type", b"text/plain")], parts()
        )


def staffed() -> World:
    """Return a world with one member of each role."""
    world = World()
    for name, role in {
        "olga": StaffRole.OPERATOR,
        "marta": StaffRole.APPROVER,
        "clara": StaffRole.COMPLIANCE,
        "ada": StaffRole.ADMIN,
    }.items():
        world.keys[name], world.roles[name] = Ed25519PrivateKey.generate(), role
    return world


@dataclass
class MemorySessions:
    """Sessions without a server; they never end by themselves."""

    challenges: dict[str, str] = field(default_factory=dict)
    open_ones: dict[str, tuple[str, str]] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)

    async def challenge(self, name: str) -> str:
        text = secrets.token_hex(8)
        self.challenges[text] = name
        return text

    async def take_challenge(self, name: str, challenge: str) -> bool:
        return self.challenges.pop(challenge, None) == name

    async def allow_attempt(self, who: str, most: int) -> bool:
        return True

    async def open(self, name: str, public_key_hex: str) -> str:
        token = secrets.token_hex(8)
        self.open_ones[token] = (name, public_key_hex)
        return token

    async def holder(self, token: str) -> tuple[str, str] | None:
        return self.open_ones.get(token)

    async def close(self, token: str) -> None:
        self.open_ones.pop(token, None)

    async def first_in_an_hour(self, token: str, what: str) -> bool:
        if (token, what) in self.seen:
            return False
        self.seen.add((token, what))
        return True

    async def forget(self, token: str, what: str) -> None:
        self.seen.discard((token, what))


STOPPED = StoppedPayments("The signer", "the signer signs nothing: paused by marta")


@dataclass
class Office:
    """Work, desk and files in memory: `answer` is what each decision meets, `asked` what came."""

    answer: Done | Refused = field(default_factory=lambda: Done("recorded"))
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    rows: dict[str, list[Any]] = field(default_factory=dict)
    stories: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    customers: dict[str, CustomerFile] = field(default_factory=dict)
    is_away: bool = False
    is_late: bool = False

    async def withdrawals(self) -> Sequence[WithdrawalWork]:
        return self._rows("withdrawals")

    async def parked(self) -> Sequence[ParkedWork]:
        return self._rows("parked")

    async def suspense(self) -> Sequence[SuspenseItem]:
        return self._rows("suspense")

    async def proposals(self) -> Sequence[ProposedWork]:
        return self._rows("proposals")

    async def stopped(self) -> Sequence[StoppedPayments]:
        return self._rows("stopped")

    def links(self) -> Sequence[Link]:
        return [Link("Parked", "/namespaces/rialto/workflows?query=Stage")]

    def _rows(self, name: str) -> list[Any]:
        if self.is_away:
            raise ConnectionError
        return self.rows.get(name, [])

    async def decide(self, workflow_id: str, decision: Decision) -> Done | Refused:
        return self._note("decide", workflow_id, decision)

    async def retry(self, workflow_id: str, by: str, reason: str) -> Done | Refused:
        return self._note("retry", workflow_id, by, reason)

    async def abandon(self, workflow_id: str, by: str, reason: str) -> Done | Refused:
        return self._note("abandon", workflow_id, by, reason)

    async def propose_release(
        self, deposit_id: str, customer: str, by: str, reason: str
    ) -> Done | Refused:
        return self._note("release", deposit_id, customer, by, reason)

    async def propose_return(self, deposit_id: str, by: str, reason: str) -> Done | Refused:
        return self._note("return", deposit_id, by, reason)

    async def set_standing(
        self, customer_id: int, standing: Standing, by: str, reason: str
    ) -> Done | Refused:
        return self._note("standing", customer_id, standing, by, reason)

    async def note(self, customer_id: int, by: str, text: str) -> Done | Refused:
        return self._note("note", customer_id, by, text)

    async def story(self, withdrawal_id: UUID, reader: str) -> Mapping[str, Any] | None:
        self.asked.append(("story", withdrawal_id, reader))
        return self.stories.get(withdrawal_id)

    async def customer(self, who: str, reader: str) -> CustomerFile | None:
        self.asked.append(("customer", who, reader))
        return self.customers.get(who)

    def _note(self, *asked: Any) -> Done | Refused:
        self.asked.append(asked)
        if self.is_late:
            raise TimeoutError
        return self.answer


class NoCodec:
    """A codec for tests that send no payloads."""

    async def encode(self, body: bytes) -> bytes:
        return body

    async def decode(self, body: bytes) -> bytes:
        return body


def services_of(world: World, office: Office, **replaced: Any) -> StaffServices:
    """Return the services around doubles; `replaced` puts real adapters in."""
    parts: dict[str, Any] = {
        "origin": ORIGIN,
        "directory": world,
        "sessions": MemorySessions(),
        "records": world,
        "codec": NoCodec(),
        "ui": world,
        "verify": verify_ed25519,
        "work": office,
        "desk": office,
        "files": office,
    }
    return StaffServices(**(parts | replaced))


async def sign_in(
    browser: httpx.AsyncClient, world: World, name: str, *, key: str = "", origin: str = ORIGIN
) -> httpx.Response:
    """Sign in as `name`, by default with his own key and at our origin."""
    given = await browser.post("/login/challenge", json={"name": name})
    challenge = given.json()["challenge"]
    text = login_statement(origin, name, challenge)
    signature = world.keys[key or name].sign(text.encode()).hex()
    form = {"name": name, "challenge": challenge, "signature_hex": signature}
    return await browser.post("/login/sign-in", json=form)
