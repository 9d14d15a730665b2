"""What staff do with customers' logins, for the command line; and a demo's login link."""

from __future__ import annotations

import datetime as dt
import time
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.login_invitation import INVITATION_SECONDS, LoginInvitation, invitation_refusal
from infra.postgres.audit_store import AuditStore
from infra.postgres.login_invitations import LoginInvitations
from infra.postgres.login_links import LoginLinkStore
from infra.postgres.reading import writing
from infra.postgres.web_sessions import WebSessionStore
from infra.settings import Settings
from infra.wallet import officers
from infra.wallet.pinned_officers import PinnedOfficers
from workers.data_folder import read_json
from workers.officer_desk import DeskError, login
from workers.signing_desk import signed_decision


def store_of(engine: AsyncEngine) -> LoginInvitations:
    """Return the rows of invitations."""
    return LoginInvitations(engine, AuditStore())


async def invite(engine: AsyncEngine, customer: str, reason: str) -> LoginInvitation:
    """Propose an invitation; `DeskError` says what makes no sense."""
    store = store_of(engine)
    found = await store.customer(customer)
    if found is None:
        raise DeskError(f"there is no customer {customer!r}")
    if refusal := invitation_refusal(reason):
        raise DeskError(refusal)
    customer_id, has_login = found
    proposed = LoginInvitation(
        invitation_id=str(uuid4()),
        customer_id=customer_id,
        customer=customer,
        resets=has_login,
        reason=reason.strip(),
        expiry=int(time.time()) + INVITATION_SECONDS,
        proposed_by=login(),
    )
    await store.propose(proposed)
    return proposed


async def load(engine: AsyncEngine, invitation_id: str) -> LoginInvitation:
    """Return the invitation that somebody is about to sign."""
    try:
        return (await store_of(engine).load(invitation_id))[0]
    except (LookupError, ValueError) as error:
        raise DeskError(f"there is no invitation {invitation_id}") from error


async def sign(
    engine: AsyncEngine, settings: Settings, officer: str, found: LoginInvitation
) -> tuple[str, int]:
    """Sign with the officer's key; return his half and how many have signed."""
    decision = signed_decision(settings, officer, found)
    pinned = PinnedOfficers(officers.pinned_path(settings.data_dir))
    try:
        return await store_of(engine).sign_for_half(
            found.invitation_id, decision, pinned, officers.verify_ed25519, int(time.time())
        )
    except ValueError as error:
        raise DeskError(str(error)) from error


async def demo_link(engine: AsyncEngine, settings: Settings, by: str) -> str:
    """Return a link that signs the demo's first customer in once; it is told this once."""
    demo = read_json(settings.data_dir / "demo.json")
    accounts = demo.get("accounts")
    if not isinstance(accounts, list) or not accounts:
        raise DeskError("no demo market was started in this folder: ./rialto up")
    sessions = WebSessionStore(engine, AuditStore(), _now)
    links = LoginLinkStore(engine, AuditStore(), sessions, _now)
    secret = await links.make(accounts[0]["name"], by)
    if secret is None:
        raise DeskError(f"there is no customer {accounts[0]['name']!r}")
    return f"{demo['base_url']}/#login={secret}"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def end_sessions(engine: AsyncEngine, customer: str) -> int:
    """End all sessions of a customer; return how many."""
    found = await store_of(engine).customer(customer)
    if found is None:
        raise DeskError(f"there is no customer {customer!r}")
    sessions = WebSessionStore(engine, AuditStore(), _now)
    async with writing(engine) as connection:
        return await sessions.end_all(connection, found[0], "staff", f"staff:{login()}")
