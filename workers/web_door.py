"""The gateway's side of signing in: logins, sessions, and where a request's key is looked up."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.ext.asyncio import AsyncEngine

from api.access_tokens import AccessTokens
from api.login_ports import WebServices
from domain.customer import ApiKey
from domain.web_session import SESSION_PREFIX
from infra.passwords import Passwords
from infra.postgres.audit_store import AuditStore
from infra.postgres.customers import CustomerStore
from infra.postgres.login_invitations import InvitationDoor, LoginInvitations
from infra.postgres.login_links import LoginLinkStore
from infra.postgres.web_logins import WebLoginStore
from infra.postgres.web_sessions import WebSessionStore
from infra.secret_box import SecretBox, gateway_key_path, key_for
from infra.settings import Settings
from infra.wallet import officers
from infra.wallet.pinned_officers import PinnedOfficers


class Credentials:
    """API keys and web sessions by their ids, which tell them apart."""

    def __init__(self, keys: CustomerStore, sessions: WebSessionStore) -> None:
        self._keys = keys
        self._sessions = sessions

    async def find_key(self, key_id: str) -> ApiKey | None:
        """Return what goes on under an id, or None; `ConnectionError`."""
        of_session = key_id.startswith(SESSION_PREFIX)
        return await (self._sessions if of_session else self._keys).find_key(key_id)


def web_door(
    settings: Settings, engine: AsyncEngine, box: SecretBox
) -> tuple[WebServices, Credentials]:
    """Return all of signing in, and where keys and sessions are looked up."""
    audit, passwords = AuditStore(), Passwords()
    sessions = WebSessionStore(engine, audit, _now)
    services = WebServices(
        logins=WebLoginStore(engine, box, audit, passwords, sessions, _now),
        sessions=sessions,
        invitations=InvitationDoor(
            LoginInvitations(engine, audit),
            box,
            passwords,
            sessions,
            PinnedOfficers(officers.pinned_path(settings.data_dir)),
            officers.verify_ed25519,
            _now,
        ),
        tokens=AccessTokens(key_for(gateway_key_path(settings.secrets_dir), "access tokens")),
        public_url=settings.gateway_public_url,
        links=LoginLinkStore(engine, audit, sessions, _now) if settings.demo_links else None,
    )
    return services, Credentials(CustomerStore(engine, box), sessions)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
