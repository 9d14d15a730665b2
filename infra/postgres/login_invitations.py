"""Invitations to make a login, as rows: proposed, signed by two officers, used once."""

from __future__ import annotations

import datetime as dt
import hmac
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import totp
from domain.approval import Decision, Officer, VerifySignature
from domain.customer import STAFF
from domain.hash_chain import JsonValue
from domain.login_invitation import InvitationState, LoginInvitation, invitation_subject
from domain.two_signatures import SIGNATURES_NEEDED, signature_refusal, valid_signatures
from domain.web_login import HALF_BYTES, LOGIN_MADE, password_bytes, spelled, spoken_hash
from infra.passwords import Passwords
from infra.postgres import tables
from infra.postgres.customer_lock import lock_customer
from infra.postgres.reading import writing
from infra.postgres.signed_rows import SignedRows
from infra.postgres.web_logins import new_recovery_codes, totp_context
from infra.postgres.web_sessions import WebSessionStore
from infra.secret_box import SecretBox

_TABLE = tables.login_invitation
_ROW = _TABLE.c
_JOINED = sa.select(_TABLE, tables.customer.c.name.label("customer")).join_from(
    _TABLE, tables.customer
)
_HALF_LETTERS = 16


class LoginInvitations(SignedRows[LoginInvitation]):
    """The staff's side: each method is one transaction, with its record in the audit log."""

    _table = _TABLE
    _id = _ROW.invitation_id

    def _of(self, row: Any) -> LoginInvitation:
        return _invitation(row)

    def _subject(self, proposal: LoginInvitation) -> str:
        return invitation_subject(proposal.invitation_id)

    def _rows(self) -> sa.Select[Any]:
        return _JOINED

    async def customer(self, name: str) -> tuple[int, bool] | None:
        """Return a customer's number and whether there is a login; None when there is no such."""
        row = tables.customer.c
        query = (
            sa.select(row.customer_id, tables.web_login.c.customer_id.is_not(None).label("has"))
            .outerjoin_from(tables.customer, tables.web_login)
            .where(row.name == name, row.kind != STAFF)
        )
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).one_or_none()
        return None if found is None else (found.customer_id, bool(found.has))

    async def propose(self, proposed: LoginInvitation) -> None:
        """Write an invitation down; it takes the place of the customer's earlier ones."""
        async with self._engine.begin() as connection:
            await lock_customer(connection, proposed.customer_id)
            await connection.execute(
                sa.update(_TABLE)
                .where(
                    _ROW.customer_id == proposed.customer_id,
                    _ROW.state.in_((InvitationState.PROPOSED, InvitationState.SIGNED)),
                )
                .values(state=InvitationState.REPLACED)
            )
            await connection.execute(
                sa.insert(_TABLE).values(
                    invitation_id=UUID(proposed.invitation_id),
                    customer_id=proposed.customer_id,
                    resets=proposed.resets,
                    reason=proposed.reason,
                    expiry=proposed.expiry,
                    proposed_by=proposed.proposed_by,
                    state=proposed.state,
                )
            )
            detail = {"statement": proposed.statement()}
            await self._note(
                connection, proposed, f"staff:{proposed.proposed_by}", "proposed", detail
            )

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Give a connection in a transaction; `ConnectionError` when there is none."""
        return writing(self._engine)

    async def note_made(
        self, connection: AsyncConnection, customer_id: int, detail: Mapping[str, JsonValue]
    ) -> None:
        """Write down, within a transaction, that an invitation made a login."""
        await self._audit.append(
            connection,
            f"customer-{customer_id}",
            f"customer:{customer_id}",
            LOGIN_MADE,
            f"{LOGIN_MADE}:{detail['invitation']}",
            detail,
        )

    async def sign_for_half(
        self,
        invitation_id: str,
        decision: Decision,
        officers: Mapping[str, Officer],
        verify: VerifySignature,
        now: int,
    ) -> tuple[str, int]:
        """Add a signature; return the officer's half and how many have signed.

        `ValueError` says why it does not count. The half is kept as a hash: it is told here alone.
        """
        async with self._engine.begin() as connection:
            found, signatures = await self._read(connection, invitation_id, lock=True)
            refusal = signature_refusal(
                decision, found, officers=officers, signed=signatures, now=now, verify=verify
            )
            if refusal is None and officers[decision.officer].customer_id == found.customer_id:
                refusal = "an officer does not sign for an account of his own"
            if refusal is not None:
                raise ValueError(refusal)
            half = spelled(secrets.token_bytes(HALF_BYTES))
            mine = sa.select(_ROW.halves).where(self._id == UUID(invitation_id))
            halves = dict(await connection.scalar(mine) or {})
            signatures[decision.officer] = decision.signature_hex
            halves[decision.officer] = spoken_hash(half)
            state = InvitationState.SIGNED if len(signatures) >= SIGNATURES_NEEDED else found.state
            await self._change(
                connection, invitation_id, signatures=signatures, halves=halves, state=state
            )
            signed = {"statement": decision.statement, "signature": decision.signature_hex}
            await self._note(connection, found, f"officer:{decision.officer}", "signed", signed)
        return half, len(signatures)


class InvitationDoor:
    """The customer's side: whoever has both halves enrols, and shows a code of the new factor.

    A row is believed as far as two pinned officers have signed it.
    """

    def __init__(
        self,
        invitations: LoginInvitations,
        box: SecretBox,
        passwords: Passwords,
        sessions: WebSessionStore,
        officers: Mapping[str, Officer],
        verify: VerifySignature,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._invitations = invitations
        self._box = box
        self._passwords = passwords
        self._sessions = sessions
        self._officers = officers
        self._verify = verify
        self._now = now

    async def enrol(self, name: str, invitation: str, password: str) -> bytes | None:
        """Keep a password and return the secret of a second factor; None without an invitation.

        Nothing counts before `activate`; enrolling again makes another secret.
        """
        kept = await self._passwords.hashed(password_bytes(password))
        async with self._invitations.writing() as connection:
            row = await self._usable(connection, name, invitation)
            if row is None:
                return None
            secret = secrets.token_bytes(totp.SECRET_BYTES)
            sealed = self._box.seal(secret, totp_context(row.customer_id))
            await connection.execute(
                sa.update(_TABLE)
                .where(_ROW.invitation_id == row.invitation_id)
                .values(password_hash=kept, totp_sealed=sealed)
            )
        return secret

    async def activate(self, name: str, invitation: str, code: str) -> list[str] | None:
        """Make the login of what was enrolled and return its recovery codes; None when not.

        What was the customer's login before is replaced, and its sessions end.
        """
        async with self._invitations.writing() as connection:
            row = await self._usable(connection, name, invitation)
            if row is None or row.totp_sealed is None:
                return None
            secret = self._box.open(bytes(row.totp_sealed), totp_context(row.customer_id))
            now = int(self._now().timestamp())
            step = totp.step_of(secret, code, now=now, after_step=0)
            if step is None:
                return None
            codes = new_recovery_codes()
            values = {
                "password_hash": row.password_hash,
                "totp_sealed": row.totp_sealed,
                "totp_step": step,
                "next_totp_sealed": None,
                "recovery_hashes": [spoken_hash(one) for one in codes],
                "changed_at": sa.func.now(),
            }
            made = insert(tables.web_login).values(customer_id=row.customer_id, **values)
            await connection.execute(
                made.on_conflict_do_update(index_elements=["customer_id"], set_=values)
            )
            used = {"state": InvitationState.USED, "password_hash": None, "totp_sealed": None}
            await connection.execute(
                sa.update(_TABLE).where(_ROW.invitation_id == row.invitation_id).values(**used)
            )
            await self._note(connection, row)
        return codes

    async def _usable(self, connection: AsyncConnection, name: str, invitation: str) -> Any:
        """Return the row of an invitation that may be used now, locked; None when there is none."""
        mine = tables.customer.c.name == name
        query = _JOINED.where(mine, _ROW.state == InvitationState.SIGNED)
        query = query.with_for_update(of=_TABLE)
        found = (await connection.execute(query)).one_or_none()
        if found is None or found.expiry <= self._now().timestamp():
            return None
        if not _has_halves(found.halves, invitation):
            return None
        good = valid_signatures(_invitation(found), found.signatures, self._officers, self._verify)
        return found if good >= SIGNATURES_NEEDED else None

    async def _note(self, connection: AsyncConnection, row: Any) -> None:
        customer_id = row.customer_id
        ended = await self._sessions.end_all(
            connection, customer_id, LOGIN_MADE, f"customer:{customer_id}"
        )
        detail: dict[str, JsonValue] = {
            "invitation": str(row.invitation_id),
            "resets": row.resets,
            "sessions_ended": ended,
        }
        await self._invitations.note_made(connection, customer_id, detail)


def _invitation(row: Any) -> LoginInvitation:
    return LoginInvitation(
        invitation_id=str(row.invitation_id),
        customer_id=row.customer_id,
        customer=row.customer,
        resets=row.resets,
        reason=row.reason,
        expiry=row.expiry,
        proposed_by=row.proposed_by,
        state=InvitationState(row.state),
    )


def _has_halves(kept: Mapping[str, str], invitation: str) -> bool:
    """Return whether an invitation is both halves, in either order."""
    letters = "".join(one for one in invitation.upper() if one.isalnum())
    shown = sorted(spoken_hash(part) for part in (letters[:_HALF_LETTERS], letters[_HALF_LETTERS:]))
    wanted = sorted(kept.values())
    return len(wanted) == SIGNATURES_NEEDED and all(
        hmac.compare_digest(one, other) for one, other in zip(shown, wanted, strict=True)
    )
