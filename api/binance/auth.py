"""Who asks in the dialect: `X-MBX-APIKEY`, and an HMAC-SHA256 over the raw parameters.

The signature of this dialect covers neither method nor path; our own API's does.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from api import auth
from api.auth import DEFAULT_WINDOW_MS, KEY_ID, LARGEST_WINDOW_MS, NOBODY, Caller, Credentials
from api.binance.errors import Refusal, malformed, missing
from api.binance.parameters import Signed
from api.services import Services

_SIGNATURE = re.compile(r"[0-9a-fA-F]{64}")


def sign(secret: bytes, message: bytes) -> str:
    """Return the signature of the parameters, in lower-case hex."""
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


async def signed_caller(services: Services, key_id: str | None, signed: Signed) -> Caller:
    """Return who signed the parameters, or raise the `Refusal` or `Problem` that they deserve."""
    now_ms = services.now_ms()
    credentials = _credentials(key_id, signed)
    found = await services.keys.find(credentials.key_id)
    secret = found.secret if found else NOBODY
    expected = [sign(secret, one) for one in (signed.message, *signed.others)]
    matches = any(hmac.compare_digest(one, credentials.signature) for one in expected)
    if found is None or not auth.is_current(found, now_ms):
        raise unknown_key()
    if not matches:
        raise Refusal(-1022, "Signature for this request is not valid.", status=401)
    auth.check_timestamp(credentials, now_ms)
    return auth.caller_of(found, credentials.signature)


async def known_caller(services: Services, key_id: str | None) -> Caller:
    """Return whose key is named, without a signature: for what only a stream's name is given."""
    found = await services.keys.find(_well_formed(key_id))
    if found is None or not auth.is_current(found, services.now_ms()):
        raise unknown_key()
    return auth.caller_of(found, "")


def unknown_key() -> Refusal:
    """Return the refusal of a key that does not exist or may not do this."""
    return Refusal(-2015, "Invalid API-key, IP, or permissions for action.", status=401)


def _well_formed(key_id: str | None) -> str:
    if key_id is None or KEY_ID.fullmatch(key_id) is None:
        raise Refusal(-2014, "API-key format invalid.", status=401)
    return key_id


def _credentials(key_id: str | None, signed: Signed) -> Credentials:
    key_id = _well_formed(key_id)
    timestamp = signed.parameters.integer("timestamp")
    window = signed.parameters.integer("recvWindow")
    if timestamp is None:
        raise missing("timestamp")
    if signed.signature is None:
        raise missing("signature")
    if window is None:
        window = DEFAULT_WINDOW_MS
    if not 0 < window <= LARGEST_WINDOW_MS:
        raise Refusal(-1131, "recvWindow must be less than 60000.")
    if timestamp < 0:
        raise malformed("timestamp")
    if _SIGNATURE.fullmatch(signed.signature) is None:
        raise Refusal(-1022, "Signature for this request is not valid.", status=401)
    return Credentials(key_id, str(timestamp), window, signed.signature.lower())
