"""Logins and sessions on a real PostgreSQL: invited by two officers, codes once, tokens rotate."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import totp
from domain.approval import Decision, Officer
from domain.customer import KeyAlgorithm
from domain.login_invitation import INVITATION_SECONDS, LoginInvitation
from domain.web_login import LINK_SPAN, Where
from domain.web_session import IDLE_SPAN, LONGEST_SPAN, MAX_SESSIONS, OpenedSession
from infra.passwords import Passwords
from infra.postgres.audit_store import AuditStore
from infra.postgres.customers import CustomerStore
from infra.postgres.login_invitations import InvitationDoor, LoginInvitations
from infra.postgres.login_links import LoginLinkStore
from infra.postgres.web_logins import WebLoginStore
from infra.postgres.web_sessions import WebSessionStore
from infra.secret_box import SecretBox
from infra.wallet.officers import public_hex, verify_ed25519

pytestmark = pytest.mark.servers

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PASSWORD, NEW_PASSWORD = "correct horse battery", "another horse, as correct"
WHERE = Where("192.0.2.7", "a browser")


class World:
    """Customer 1 called alice, two officers, and a clock that a test moves."""

    def __init__(self, engine: AsyncEngine, box: SecretBox) -> None:
        self.time = START
        self.engine = engine
        self.customers = CustomerStore(engine, box)
        self.private = {name: Ed25519PrivateKey.generate() for name in ("marta", "piero", "alba")}
        self.officers = {
            name: Officer(name, public_hex(key), 1 if name == "alba" else None)
            for name, key in self.private.items()
        }
        audit, passwords = AuditStore(), Passwords(memory_kib=64)
        self.sessions = WebSessionStore(engine, audit, lambda: self.time)
        self.logins = WebLoginStore(engine, box, audit, passwords, self.sessions, lambda: self.time)
        self.links = LoginLinkStore(engine, audit, self.sessions, lambda: self.time)
        self.invitations = LoginInvitations(engine, audit)
        self.door = InvitationDoor(
            self.invitations,
            box,
            passwords,
            self.sessions,
            self.officers,
            verify_ed25519,
            lambda: self.time,
        )
        self.secret = b""

    async def invited(self, *officers: str) -> list[str]:
        """Propose an invitation and have it signed; return the halves."""
        found = await self.invitations.customer("alice")
        assert found is not None
        expiry = int(self.time.timestamp()) + INVITATION_SECONDS
        proposed = LoginInvitation(str(uuid4()), 1, "alice", found[1], "asked", expiry, "olga")
        await self.invitations.propose(proposed)
        return [await self.half(proposed, officer) for officer in officers]

    async def half(self, proposed: LoginInvitation, officer: str) -> str:
        """Sign as an officer; return his half."""
        text = proposed.statement()
        signature = self.private[officer].sign(text.encode()).hex()
        decision = Decision(officer, proposed.action, text, signature)
        now = int(self.time.timestamp())
        half, _ = await self.invitations.sign_for_half(
            proposed.invitation_id, decision, self.officers, verify_ed25519, now
        )
        return half

    async def made(self) -> list[str]:
        """Let alice make a login; return her recovery codes."""
        invitation = " ".join(await self.invited("marta", "piero"))
        secret = await self.door.enrol("alice", invitation, PASSWORD)
        assert secret is not None
        self.secret = secret
        codes = await self.door.activate("alice", invitation, self.code())
        assert codes is not None
        self.time += dt.timedelta(seconds=30)
        return codes

    def code(self) -> str:
        """Return what her app shows."""
        return totp.code_at(self.secret, int(self.time.timestamp()) // 30)

    async def signed_in(self) -> OpenedSession:
        """Sign in with the next code."""
        opened = await self.logins.sign_in("alice", PASSWORD, self.code(), WHERE)
        assert opened is not None
        self.time += dt.timedelta(seconds=30)
        return opened

    async def actions(self) -> list[str]:
        """Return what the audit log says about alice, all of it intact."""
        async with self.engine.connect() as connection:
            records = await AuditStore().read(connection, "customer-1")
            assert await AuditStore().verify(connection)
        return [record.action for record in records]


@pytest.fixture
def world(two_customers: tuple[AsyncEngine, SecretBox]) -> World:
    """Give customers 1 and 2."""
    return World(*two_customers)


async def test_a_link_signs_in_once(world: World) -> None:
    """Not twice, not after its time, not once there is a newer one; each is in the audit log."""
    assert await world.links.make("nobody", "rialto up") is None
    first = await world.links.make("alice", "rialto up")
    second = await world.links.make("alice", "staff:olga")
    assert first is not None
    assert second is not None
    assert await world.links.sign_in(first, WHERE) is None
    opened = await world.links.sign_in(second, WHERE)
    assert opened is not None
    assert opened.customer_id == 1
    assert await world.sessions.refresh(opened.refresh) is not None
    assert await world.links.sign_in(second, WHERE) is None
    third = await world.links.make("alice", "rialto up")
    assert third is not None
    world.time += LINK_SPAN
    assert await world.links.sign_in(third, WHERE) is None
    made, refused = "login_link_made", "sign_in_refused"
    assert await world.actions() == [made, made, "signed_in", refused, made, refused]
    fourth = await world.links.make("alice", "rialto up")
    assert fourth is not None
    both = await asyncio.gather(*(world.links.sign_in(fourth, WHERE) for _ in range(4)))
    assert sum(one is not None for one in both) == 1


async def test_a_login_is_made_by_two_halves(world: World) -> None:
    """One half is nothing, nor is another customer's, nor a signature of an officer for himself."""
    (half,) = await world.invited("marta")
    for wrong in (half, f"{half} {half}", f"{half} {'A' * 16}"):
        assert await world.door.enrol("alice", wrong, PASSWORD) is None
    with pytest.raises(ValueError, match="account of his own"):
        await world.invited("alba")
    first, second = await world.invited("marta", "piero")
    assert await world.door.enrol("alice", f"{half} {second}", PASSWORD) is None
    assert await world.door.enrol("bob", f"{first} {second}", PASSWORD) is None
    revoked = world.officers.pop("piero")
    assert await world.door.enrol("alice", f"{first} {second}", PASSWORD) is None
    world.officers["piero"] = revoked
    assert await world.door.activate("alice", f"{first} {second}", "000000") is None
    secret = await world.door.enrol("alice", f"{second.lower()}{first}", PASSWORD)
    assert secret is not None
    world.secret = secret
    assert await world.logins.sign_in("alice", PASSWORD, world.code(), WHERE) is None
    assert await world.door.activate("alice", f"{first} {second}", world.code()) is not None
    assert await world.door.activate("alice", f"{first} {second}", world.code()) is None
    assert await world.logins.sign_in("alice", PASSWORD, world.code(), WHERE) is None  # used
    world.time += dt.timedelta(seconds=30)
    await world.signed_in()
    assert await world.actions() == [
        "login_made",
        "sign_in_refused",
        "signed_in",
    ]


async def test_an_invitation_ends_and_a_reset_ends_everything(world: World) -> None:
    """After a day; a login that is made anew has another factor, and the sessions are over."""
    first, second = await world.invited("marta", "piero")
    world.time += dt.timedelta(seconds=INVITATION_SECONDS)
    assert await world.door.enrol("alice", f"{first} {second}", PASSWORD) is None
    codes = await world.made()
    opened, old = await world.signed_in(), world.secret
    again = await world.made()
    assert world.secret != old
    assert await world.sessions.find_key(opened.session_id) is None
    assert await world.sessions.refresh(opened.refresh) is None
    assert await world.logins.sign_in("alice", PASSWORD, codes[0], WHERE) is None
    assert await world.logins.sign_in("alice", PASSWORD, again[0], WHERE) is not None


async def test_codes_count_once_even_at_once(world: World) -> None:
    """Of many requests with one code, of the app or of recovery, one signs in."""
    codes = await world.made()
    for code in (world.code(), codes[3].replace("-", "").lower()):
        tries = [world.logins.sign_in("alice", PASSWORD, code, WHERE) for _ in range(4)]
        found = await asyncio.gather(*tries)
        assert sum(one is not None for one in found) == 1
    assert await world.logins.sign_in("nobody", PASSWORD, "000000", WHERE) is None
    assert await world.logins.sign_in("alice", "wrong horse battery", codes[4], WHERE) is None
    assert await world.logins.sign_in("alice", PASSWORD, codes[4], WHERE) is not None


async def test_a_session_goes_on_by_its_tokens(world: World) -> None:
    """Each counts once; an old one ends it; it is idle for hours, and old after days."""
    await world.made()
    opened = await world.signed_in()
    found = await world.sessions.find_key(opened.session_id)
    assert found is not None
    assert (found.algorithm, found.customer_id) == (KeyAlgorithm.SESSION, 1)
    world.time += dt.timedelta(minutes=1)
    second = await world.sessions.refresh(opened.refresh)
    assert second is not None
    assert second.expires_at == world.time + IDLE_SPAN
    name, _, secret = second.refresh.split(".")
    foreign = f"{name}.{secrets.token_urlsafe(32)}.{secret}"
    assert await world.sessions.refresh(foreign) is None
    world.time += dt.timedelta(minutes=1)
    assert await world.sessions.refresh(opened.refresh) is None  # an old one: the family ends
    assert await world.sessions.find_key(opened.session_id) is None
    assert await world.sessions.refresh(second.refresh) is None
    assert (await world.actions())[-1] == "session_ended"
    opened = await world.signed_in()
    world.time += IDLE_SPAN
    assert await world.sessions.refresh(opened.refresh) is None
    opened = await world.signed_in()
    began = world.time
    while opened.expires_at > world.time:
        world.time = opened.expires_at - dt.timedelta(seconds=1)
        refreshed = await world.sessions.refresh(opened.refresh)
        assert refreshed is not None
        if refreshed.expires_at == opened.expires_at:
            break
        opened = refreshed
    assert opened.expires_at <= began + LONGEST_SPAN


async def test_what_changes_a_login_ends_other_sessions(world: World) -> None:
    """Password and factor; and no customer has more than so many, nor ends another's."""
    await world.made()
    first, second = await world.signed_in(), await world.signed_in()
    assert not await world.logins.change_password(1, second.session_id, "wrong", NEW_PASSWORD)
    assert await world.logins.change_password(1, second.session_id, PASSWORD, NEW_PASSWORD)
    assert [one.session_id for one in await world.sessions.listed(1)] == [second.session_id]
    assert await world.logins.change_password(1, second.session_id, NEW_PASSWORD, PASSWORD)
    secret = await world.logins.enrol(1)
    assert await world.logins.confirm(1, second.session_id, "000000") is None
    old, world.secret = world.code(), secret
    assert await world.logins.confirm(1, second.session_id, old) is None
    assert await world.logins.confirm(1, second.session_id, world.code()) is not None
    world.time += dt.timedelta(seconds=30)
    stepped = await world.logins.step_up(1, second.session_id, world.code())
    assert stepped == world.time
    world.time += dt.timedelta(seconds=30)
    for _ in range(MAX_SESSIONS + 1):
        await world.signed_in()
    listed = await world.sessions.listed(1)
    assert len(listed) == MAX_SESSIONS
    assert second.session_id not in [one.session_id for one in listed]
    assert not await world.sessions.end(2, listed[0].session_id, by="customer:2")
    assert await world.sessions.end(1, listed[0].session_id, by="customer:1")
    assert first.session_id not in [one.session_id for one in await world.sessions.listed(1)]
