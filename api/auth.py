r"""Signed requests: HMAC-SHA256 or Ed25519 over everything that decides what a request does.

RIALTO-KEY        the API key's id
RIALTO-TIMESTAMP  milliseconds since 1970, by the client's clock
RIALTO-WINDOW     optional, how many milliseconds old the request may be (default 5000)
RIALTO-SIGNATURE  hex HMAC-SHA256(secret, text), or base64 of the key's Ed25519 signature of it

The text, version 1, is six lines, each ended by one line feed: timestamp, METHOD, path, raw query,
Idempotency-Key, raw body; what a request does not have is an empty line. In a shell, with the
secret in SECRET: printf '%s\n' "$T" POST /v1/orders '' '' "$B" | openssl dgst -sha256 -hmac
"$SECRET". Only the last line, the body, can contain a line feed, so no two requests share a text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.datastructures import Headers

from api.errors import Problem
from domain.api_keys import admits
from domain.customer import ApiKey, KeyAlgorithm, Scope, Standing, standing_refuses

if TYPE_CHECKING:  # clients sign with this module, and have no use for the gateway's ports
    from api.access_tokens import AccessTokens
    from api.ports import KeyDirectory

DEFAULT_WINDOW_MS = 5_000
LARGEST_WINDOW_MS = 60_000
LARGEST_LEAD_MS = 1_000
REMEMBERED_SECONDS = (LARGEST_WINDOW_MS + LARGEST_LEAD_MS) // 1000 + 1
"""A signature that counts once is remembered for as long as it can be accepted."""
NOBODY = b"\0" * 32  # an unknown key costs the same comparison as a known one
KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_CREDENTIALS = {
    name.encode(): name
    for name in ("rialto-key", "rialto-timestamp", "rialto-signature", "rialto-window")
}
_MILLISECONDS = re.compile(r"[0-9]{1,15}")
_HMAC_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_ED25519_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{85}[AQgw]==")  # 64 bytes, in one way only


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the request."""

    customer_id: int
    key_id: str
    scopes: frozenset[str]
    rate_class: str
    signature: str
    standing: str = Standing.ACTIVE
    stepped_up_until_ms: int | None = None
    """Until when a session may do what needs a fresh second factor; None: a key has signed."""

    @property
    def is_session(self) -> bool:
        """Return whether it is a web session, whose id is `key_id`."""
        return self.stepped_up_until_ms is not None


@dataclass(frozen=True, slots=True)
class SignedParts:
    """What the signature covers, exactly as it came over the wire."""

    method: str
    path: bytes
    query: bytes = b""
    idempotency_key: bytes = b""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The four headers, syntactically checked."""

    key_id: str
    timestamp: str
    window_ms: int
    signature: str


def sign(secret: bytes, timestamp: str, parts: SignedParts) -> str:
    """Return the HMAC signature of a request, in lower-case hex."""
    return hmac_of(secret, signed_text(timestamp, parts))


def signed_text(timestamp: str, parts: SignedParts) -> bytes:
    """Return the text that is signed, version 1."""
    lines = (
        timestamp.encode(),
        parts.method.upper().encode(),
        parts.path,
        parts.query,
        parts.idempotency_key,
        parts.body,
    )
    return b"".join(line + b"\n" for line in lines)


def hmac_of(secret: bytes, message: bytes) -> str:
    """Return HMAC-SHA256 in lower-case hex."""
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def is_well_formed(signature: str) -> bool:
    """Return whether a text can be a signature of some kind of key.

    Each signature is accepted in one spelling only: what is used up once cannot come back in
    another.
    """
    found = _HMAC_SIGNATURE.fullmatch(signature) or _ED25519_SIGNATURE.fullmatch(signature)
    return found is not None


def is_signed_by(key: ApiKey | None, message: bytes, signature: str) -> bool:
    """Return whether a well-formed signature is the key's of a message.

    A key that does not exist (None) costs the comparison of an HMAC key.
    """
    if key is None or key.algorithm is KeyAlgorithm.HMAC_SHA256:
        expected = hmac_of(NOBODY if key is None else key.secret, message)
        return hmac.compare_digest(expected, signature) and key is not None
    if key.algorithm is not KeyAlgorithm.ED25519 or not _ED25519_SIGNATURE.fullmatch(signature):
        return False
    try:
        public = Ed25519PublicKey.from_public_bytes(key.secret)
        public.verify(base64.b64decode(signature), message)
    except InvalidSignature:
        return False
    return True


def idempotency_key_from(headers: Headers) -> bytes:
    """Return the header Idempotency-Key as it was sent, empty without one; a second is refused."""
    found = headers.getlist("idempotency-key")
    if len(found) > 1:
        raise Problem("bad_signature", "The header IDEMPOTENCY-KEY is repeated.")
    return found[0].encode("latin-1") if found else b""


def credentials_from(headers: Headers) -> Credentials:
    """Return the credentials in the headers; a missing or repeated one is refused."""
    values: dict[str, str] = {}
    for raw_name, value in headers.raw:
        name = _CREDENTIALS.get(raw_name)
        if name is None:
            continue
        if name in values:
            raise Problem("bad_signature", f"The header {name.upper()} is repeated.")
        values[name] = value.decode("latin-1")
    if len(values) < len(_CREDENTIALS):
        values.setdefault("rialto-window", str(DEFAULT_WINDOW_MS))
        for name in _CREDENTIALS.values():
            if name not in values:
                raise Problem("missing_credentials", f"The header {name.upper()} is missing.")
    if (
        KEY_ID.fullmatch(values["rialto-key"]) is None
        or not is_well_formed(values["rialto-signature"])
        or _MILLISECONDS.fullmatch(values["rialto-timestamp"]) is None
        or _MILLISECONDS.fullmatch(values["rialto-window"]) is None
    ):
        raise Problem("bad_signature", "A credential header is not well formed.")
    return Credentials(
        key_id=values["rialto-key"],
        timestamp=values["rialto-timestamp"],
        window_ms=min(int(values["rialto-window"]), LARGEST_WINDOW_MS),
        signature=values["rialto-signature"],
    )


def check_timestamp(credentials: Credentials, now_ms: int) -> None:
    """Refuse a request that is too old, or more than a second ahead of our clock."""
    age_ms = now_ms - int(credentials.timestamp)
    if age_ms > credentials.window_ms:
        raise Problem(
            "timestamp_outside_window",
            f"The request is {age_ms} ms old; the window is {credentials.window_ms} ms.",
            extra={"server_time_ms": now_ms},
        )
    if age_ms < -LARGEST_LEAD_MS:
        raise Problem(
            "timestamp_ahead",
            f"The timestamp is {-age_ms} ms ahead of the exchange's clock.",
            extra={"server_time_ms": now_ms},
        )


async def authenticate(
    headers: Headers, parts: SignedParts, keys: KeyDirectory, now_ms: int, host: str
) -> Caller:
    """Return who signed the request, or raise the `Problem` that it deserves.

    An unknown key, a wrong signature and an expired key look the same from outside. `host` is the
    address that it comes from; only who signed learns that the key is not for it.
    """
    credentials = credentials_from(headers)
    key = await keys.find(credentials.key_id)
    message = signed_text(credentials.timestamp, parts)
    matches = is_signed_by(key, message, credentials.signature)
    if key is None or not matches or not is_current(key, now_ms):
        raise Problem("bad_signature")
    check_timestamp(credentials, now_ms)
    if key.networks and not admits(key.networks, host):
        raise Problem("address_not_allowed", f"It is not for requests from {host}.")
    return caller_of(key, credentials.signature)


async def session_caller(
    shown: str, tokens: AccessTokens, keys: KeyDirectory, now_ms: int
) -> Caller:
    """Return whose session an access token is of, or raise `Problem` (session_ended).

    A request of a session has no signature: what stands for one is drawn, so that none is like
    another.
    """
    token = tokens.opened(shown)
    if token is None or token.expires_ms <= now_ms:
        raise Problem("session_ended")
    key = await keys.find(token.session_id)
    if key is None or not is_current(key, now_ms) or key.algorithm is not KeyAlgorithm.SESSION:
        raise Problem("session_ended")
    caller = caller_of(key, uuid.uuid4().hex)
    return replace(caller, stepped_up_until_ms=token.stepped_up_until_ms)


def access_token_from(headers: Headers) -> str | None:
    """Return the access token in the headers, None without one; with a signature it is refused."""
    found = headers.getlist("authorization")
    if not found:
        return None
    kind, _, token = found[0].partition(" ")
    if len(found) > 1 or kind.lower() != "bearer" or "rialto-key" in headers:
        raise Problem("bad_signature", "Send an access token (Bearer) or a signature, once.")
    return token


def require_session(caller: Caller) -> None:
    """Refuse a key: what is about signing in is for who has signed in."""
    if not caller.is_session:
        raise Problem("session_required")


def require_step_up(caller: Caller, now_ms: int) -> None:
    """Refuse a session that has shown no second factor lately; a key was given its scopes."""
    until_ms = caller.stepped_up_until_ms
    if until_ms is not None and until_ms <= now_ms:
        raise Problem("step_up_required", "Show one first: POST /v1/sessions/step-up.")


def caller_of(key: ApiKey, signature: str) -> Caller:
    """Return who uses a key, with the signature of the request."""
    return Caller(
        stepped_up_until_ms=0 if key.algorithm is KeyAlgorithm.SESSION else None,
        customer_id=key.customer_id,
        key_id=key.key_id,
        scopes=key.scopes,
        rate_class=key.rate_class,
        signature=signature,
        standing=key.customer_status,
    )


def require_scope(caller: Caller, scope: Scope, *, winds_down: bool = False) -> None:
    """Refuse a caller whose key lacks `scope`, or whose standing does not allow it."""
    if scope not in caller.scopes:
        raise Problem("missing_scope", f"This needs the scope {scope.value!r}.")
    if standing_refuses(caller.standing, scope, winds_down=winds_down):
        raise Problem("account_not_active", f"The account is {caller.standing}.")


def generated_client_order_id(signature: str, index: int = 0) -> str:
    """Return the client order id of an order that came without one.

    It is a hash of the request's signature, so a replayed request names the same order.
    """
    return "g-" + hashlib.sha256(f"{signature}/{index}".encode()).hexdigest()[:32]


async def valid_key(keys: KeyDirectory, key_id: str, now_ms: Callable[[], int]) -> ApiKey | None:
    """Return a key that may still be used; `ConnectionError` when that cannot be known."""
    key = await keys.find(key_id)
    return key if key is not None and is_valid(key, now_ms()) else None


def is_valid(key: ApiKey, now_ms: int) -> bool:
    """Return whether a key that was found may still be used."""
    return is_current(key, now_ms) and not standing_refuses(key.customer_status, Scope.READ)


def is_current(key: ApiKey, now_ms: int) -> bool:
    """Return whether a key has not expired."""
    if key.expires_at is None:
        return True
    return key.expires_at > datetime.fromtimestamp(now_ms / 1000, UTC)
