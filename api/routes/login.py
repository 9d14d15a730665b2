"""A customer's login: made by an invitation, password and second factor changed."""

from __future__ import annotations

import segno
from fastapi import APIRouter, Request, Response

from api.edge import CallerDep, EdgeRoute, ServicesDep, access, host_of
from api.errors import Problem
from api.routes.sessions import refuse_foreign_pages
from api.schemas.sessions import (
    ActivationIn,
    CodeIn,
    EnrolmentIn,
    EnrolmentOut,
    PasswordChanged,
    PasswordIn,
    RecoveryCodes,
)
from domain import totp
from domain.customer import Scope
from domain.web_login import password_refusal

router = APIRouter(prefix="/v1", tags=["sessions"], route_class=EdgeRoute)
_SCALE = 4  # pixels a module of the picture


@router.post("/login/enrolment", response_model=EnrolmentOut)
@access(None, weight=50)
async def enrol_invited(
    wanted: EnrolmentIn, services: ServicesDep, request: Request, response: Response
) -> EnrolmentOut:
    """Choose a password with an invitation, and get the secret of a second factor.

    Both count from `POST /v1/login/activation` on. Asking again makes another secret.
    """
    refuse_foreign_pages(request, services)
    await services.limiter.attempt(wanted.name, host_of(request))
    _require_password(wanted.name, wanted.password)
    secret = await services.web.invitations.enrol(wanted.name, wanted.invitation, wanted.password)
    if secret is None:
        raise Problem("bad_invitation")
    return _enrolment(wanted.name, secret, response)


@router.post("/login/activation", response_model=RecoveryCodes)
@access(None, weight=50)
async def activate(
    shown: ActivationIn, services: ServicesDep, request: Request, response: Response
) -> RecoveryCodes:
    """Show a code of the app that was enrolled: the login is made, and the invitation used up.

    Where there was a login before, its password, second factor, codes and sessions end.
    """
    refuse_foreign_pages(request, services)
    await services.limiter.attempt(shown.name, host_of(request))
    codes = await services.web.invitations.activate(shown.name, shown.invitation, shown.code)
    if codes is None:
        raise Problem("bad_invitation")
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodes(recovery_codes=codes)


@router.post("/login/password", response_model=PasswordChanged)
@access(Scope.READ, weight=50, session=True, step_up=True)
async def change_password(
    asked: PasswordIn, caller: CallerDep, services: ServicesDep, request: Request
) -> PasswordChanged:
    """Change the password; all your other sessions end. It needs a fresh second factor."""
    await services.limiter.attempt(f"#{caller.customer_id}", host_of(request))
    _require_password("", asked.new_password)
    changed = await services.web.logins.change_password(
        caller.customer_id, caller.key_id, asked.password, asked.new_password
    )
    if not changed:
        raise Problem("bad_login", "The present password is not right.")
    return PasswordChanged(session_id=caller.key_id)


@router.post("/login/second-factor", response_model=EnrolmentOut)
@access(Scope.READ, weight=20, session=True, step_up=True)
async def enrol(caller: CallerDep, services: ServicesDep, response: Response) -> EnrolmentOut:
    """Get the secret of another second factor; the present one counts until it is confirmed."""
    secret = await services.web.logins.enrol(caller.customer_id)
    return _enrolment(f"account {caller.customer_id}", secret, response)


@router.post("/login/second-factor/confirmation", response_model=RecoveryCodes)
@access(Scope.READ, weight=20, session=True, step_up=True)
async def confirm(
    shown: CodeIn, caller: CallerDep, services: ServicesDep, request: Request, response: Response
) -> RecoveryCodes:
    """Show a code of the new app: it takes the place of the old one, with new recovery codes.

    All your other sessions end.
    """
    await services.limiter.attempt(f"#{caller.customer_id}", host_of(request))
    codes = await services.web.logins.confirm(caller.customer_id, caller.key_id, shown.code)
    if codes is None:
        raise Problem("bad_login", "The code is not the new app's.")
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodes(recovery_codes=codes)


def _require_password(name: str, password: str) -> None:
    refusal = password_refusal(name, password)
    if refusal is not None:
        raise Problem("weak_password", refusal)


def _enrolment(name: str, secret: bytes, response: Response) -> EnrolmentOut:
    response.headers["Cache-Control"] = "no-store"
    uri = totp.provisioning_uri(name, secret)
    picture = segno.make(uri, error="m", micro=False).svg_data_uri(
        scale=_SCALE, border=4, light="#fff"
    )
    return EnrolmentOut(secret=totp.base32_of(secret), uri=uri, picture=picture)
