"""Who asks in the dialect: `X-MBX-APIKEY`, and an HMAC-SHA256 or Ed25519 of the raw parameters.

The signature of this dialect covers neither method nor path; our own API's does. On a connection
that has logged on, requests without one are of the key that did.
"""

from __future__ import annotations

from dataclasses import dataclass

from api import auth
from api.auth import DEFAULT_WINDOW_MS, KEY_ID, LARGEST_WINDOW_MS, Caller, Credentials
from api.binance.errors import Refusal, malformed, missing
from api.binance.parameters import Parameters, Signed
from api.services import Services
from domain.api_keys import admits
from domain.customer import ApiKey, KeyAlgorithm

_HMAC_LENGTH = 64


def sign(secret: bytes, message: bytes) -> str:
    """Return the HMAC signature of the parameters, in lower-case hex."""
    return auth.hmac_of(secret, message)


async def signed_caller(
    services: Services, key_id: str | None, signed: Signed, host: str
) -> Caller:
    """Return who signed the parameters, or raise the `Refusal` or `Problem` that they deserve."""
    now_ms = services.now_ms()
    credentials = _credentials(key_id, signed)
    found = await services.keys.find(credentials.key_id)
    messages = (signed.message, *signed.others)
    matches = any(auth.is_signed_by(found, one, credentials.signature) for one in messages)
    if found is None or not auth.is_current(found, now_ms):
        raise unknown_key()
    if not matches:
        raise Refusal(-1022, "Signature for this request is not valid.", status=401)
    auth.check_timestamp(credentials, now_ms)
    if not admits(found.networks, host):
        raise unknown_key()
    return auth.caller_of(found, credentials.signature)


@dataclass(slots=True)
class Session:
    """A connection that has logged on: whose it is, from which address, and since when (ms)."""

    logged_on: Caller
    host: str
    since_ms: int
    _count: int = 0

    async def caller(self, services: Services, parameters: Parameters) -> Caller:
        """Return who asks, as the key is by now: it may be revoked, or have other scopes.

        What follows from a request's signature, the client ids of orders that came without one,
        follows from that of the logon and the number of the request.
        """
        now_ms = services.now_ms()
        timestamp, window_ms = _when(parameters)
        key_id = self.logged_on.key_id
        found = await _usable_key(services, key_id, self.host)
        self._count += 1
        signature = f"{self.logged_on.signature}/{self._count}"
        auth.check_timestamp(Credentials(key_id, str(timestamp), window_ms, signature), now_ms)
        return auth.caller_of(found, signature)


async def logged_on(services: Services, caller: Caller, host: str) -> Session:
    """Return the session of who has signed a logon; it counts once, and is for Ed25519 keys."""
    found = await services.keys.find(caller.key_id)
    if found is None or found.algorithm is not KeyAlgorithm.ED25519:
        raise Refusal(-4056, "HMAC_SHA256 API key is not supported.")
    await services.limiter.once(caller.signature, auth.REMEMBERED_SECONDS)
    return Session(caller, host, services.now_ms())


async def known_caller(services: Services, key_id: str | None, host: str) -> Caller:
    """Return whose key is named, without a signature: for what only a stream's name is given."""
    return auth.caller_of(await _usable_key(services, _well_formed(key_id), host), "")


async def _usable_key(services: Services, key_id: str, host: str) -> ApiKey:
    """Return a key that may be used as it is by now, and from an address.

    A web session is no such key: it is used by its access token alone.
    """
    found = await services.keys.find(key_id)
    if found is None or not auth.is_current(found, services.now_ms()):
        raise unknown_key()
    if found.algorithm is KeyAlgorithm.SESSION or not admits(found.networks, host):
        raise unknown_key()
    return found


def unknown_key() -> Refusal:
    """Return the refusal of a key that does not exist or may not do this."""
    return Refusal(-2015, "Invalid API-key, IP, or permissions for action.", status=401)


def _well_formed(key_id: str | None) -> str:
    if key_id is None or KEY_ID.fullmatch(key_id) is None:
        raise Refusal(-2014, "API-key format invalid.", status=401)
    return key_id


def _credentials(key_id: str | None, signed: Signed) -> Credentials:
    key_id = _well_formed(key_id)
    timestamp, window_ms = _when(signed.parameters)
    if signed.signature is None:
        raise missing("signature")
    is_hex = len(signed.signature) == _HMAC_LENGTH  # which may be in upper case here
    signature = signed.signature.lower() if is_hex else signed.signature
    if not auth.is_well_formed(signature):
        raise Refusal(-1022, "Signature for this request is not valid.", status=401)
    return Credentials(key_id, str(timestamp), window_ms, signature)


def _when(parameters: Parameters) -> tuple[int, int]:
    """Return when a request was made and for how long it is good, in ms."""
    timestamp, window_ms = parameters.integer("timestamp"), parameters.integer("recvWindow")
    if timestamp is None:
        raise missing("timestamp")
    if window_ms is None:
        window_ms = DEFAULT_WINDOW_MS
    if not 0 < window_ms <= LARGEST_WINDOW_MS:
        raise Refusal(-1131, "recvWindow must be less than 60000.")
    if timestamp < 0:
        raise malformed("timestamp")
    return timestamp, window_ms
