"""A customer's own API keys: list, make, revoke."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from typing import Any

from fastapi import APIRouter, Response

from api.auth import Caller
from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.errors import Problem
from api.schemas.common import microseconds
from api.schemas.keys import KeyIn, KeyList, KeyOut, MadeKeyOut
from domain.api_keys import MAX_KEYS, KeyRefusal, ListedKey, NewKey, strength_refusal
from domain.customer import Scope

router = APIRouter(prefix="/v1", tags=["keys"], route_class=EdgeRoute)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_REFUSED = {
    KeyRefusal.LABEL_TAKEN: "A key of yours has this label; a secret is told only once.",
    KeyRefusal.TOO_MANY: f"An account has at most {MAX_KEYS} keys; revoke one.",
}


@router.get("/keys", response_model=KeyList)
@access(Scope.READ, weight=2)
async def list_keys(caller: CallerDep, services: ServicesDep) -> KeyList:
    """List your API keys that are not revoked, oldest first."""
    found = await services.own_keys.listed(caller.customer_id)
    return KeyList(keys=[KeyOut(**_members(one, caller)) for one in found])


@router.post("/keys", status_code=201, response_model=MadeKeyOut)
@access(Scope.WITHDRAW, weight=20, step_up=True)
async def make_key(
    key: KeyIn, caller: CallerDep, services: ServicesDep, response: Response
) -> MadeKeyOut:
    """Make an API key. A secret is told in this answer and never again.

    A key never makes a stronger one: scopes, addresses and end of the new one lie within its own.
    A session needs a fresh second factor.
    A label that another key of yours has is refused (409), so that repeating a request whose answer
    was lost makes no second key: revoke the one that is there.
    """
    wanted = _wanted(key, services.now_ms())
    maker = await services.keys.find(caller.key_id)
    if maker is None:
        raise Problem("bad_signature", "The API key is not valid any more.")
    weaker = strength_refusal(maker, wanted)
    if weaker is not None:
        raise Problem("key_too_strong", weaker)
    made = await services.own_keys.add(
        caller.customer_id, wanted, by=f"customer:{caller.customer_id}"
    )
    if isinstance(made, KeyRefusal):
        raise Problem(made.value, _REFUSED[made])
    response.headers["Cache-Control"] = "no-store"
    return MadeKeyOut(**_members(made.key, caller), secret=made.secret or None)


@router.delete("/keys/{key_id}", response_model=KeyOut)
@access(Scope.WITHDRAW, weight=5)
async def revoke_key(key_id: str, caller: CallerDep, services: ServicesDep) -> KeyOut:
    """Revoke one of your API keys: its requests are refused, and in two seconds sockets closed.

    Its open orders stay: cancel them with another key. This very key may be the one.
    """
    gone = await services.own_keys.revoke(
        caller.customer_id, key_id, by=f"customer:{caller.customer_id}"
    )
    if gone is None:
        raise Problem("not_found")
    await services.key_ended(key_id)
    return KeyOut(**_members(gone, caller))


def _wanted(asked: KeyIn, now_ms: int) -> NewKey:
    expires_at = None
    if asked.expires_us is not None:
        if asked.expires_us <= now_ms * 1_000:
            raise Problem("invalid_field", "expires_us: it has passed")
        expires_at = _EPOCH + dt.timedelta(microseconds=asked.expires_us)
    return NewKey(
        label=asked.label,
        scopes=tuple(asked.scopes),
        public_key=None if asked.public_key is None else base64.b64decode(asked.public_key),
        networks=tuple(ipaddress.ip_network(text) for text in asked.networks),
        expires_at=expires_at,
    )


def _members(key: ListedKey, caller: Caller) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "label": key.label,
        "algorithm": key.algorithm.value,
        "scopes": list(key.scopes),
        "networks": list(key.networks),
        "expires_us": None if key.expires_at is None else microseconds(key.expires_at),
        "created_us": microseconds(key.created_at),
        "is_this": key.key_id == caller.key_id,
    }
