"""Customers' API keys, as a gateway needs them to decide who is asking and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


class Scope(StrEnum):
    """What an API key may be used for."""

    READ = "read"
    TRADE = "trade"
    WITHDRAW = "withdraw"
    COMPLIANCE = "compliance"  # of staff only: to read customers' files


class Standing(StrEnum):
    """What a customer may do at all, whatever a key's scopes say; the row's `status`."""

    ACTIVE = "active"
    WITHDRAW_ONLY = "withdraw_only"  # no order, no new risk: only out, and looking
    FROZEN = "frozen"  # nothing, and open withdrawals are given back unless they are signed


STANDING_CHANGED = "standing_changed"  # audit action, about the customer
ORDERS_CANCELLED = "orders_cancelled"  # audit action, about the customer: he may not trade
CASE_NOTE = "case_note"  # audit action, about the customer
LONGEST_NOTE = 2_000


def standing_refuses(standing: str, scope: Scope, *, winds_down: bool = False) -> bool:
    """Return whether a customer of this standing is refused what `scope` is for.

    `winds_down`: it only ends orders or moves the customer's own money between own places. A
    standing that is not known refuses everything: a newer version may have written it.
    """
    if standing == Standing.ACTIVE:
        return False
    if standing != Standing.WITHDRAW_ONLY:
        return True
    return scope is Scope.TRADE and not winds_down


CUSTOMER_SCOPES = (Scope.READ, Scope.TRADE, Scope.WITHDRAW)
STAFF = "staff"  # the kind of a customer row that is a member of staff, and trades nothing


@dataclass(frozen=True, slots=True)
class ListenKey:
    """A name under which one account's events of one kind of markets can be heard for an hour.

    `market` is "spot" or "futures"; it was given out for the API key `key_id`, and ends with it.
    """

    token: str
    key_id: str
    market: str


class KeyAlgorithm(StrEnum):
    """How requests of an API key are signed; the row's `algorithm`."""

    HMAC_SHA256 = "hmac-sha256"  # both sides know the secret
    ED25519 = "ed25519"  # the exchange knows the public key only
    SESSION = "session"  # nothing is signed: a web session, which is used by its access token


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key with what its signatures are checked by, and what its customer may do.

    `secret` is the opened secret of an HMAC key, of an Ed25519 key the 32 bytes of its public key,
    of a session empty. `networks` are where it may be used from; none is anywhere.
    """

    key_id: str
    customer_id: int
    secret: bytes
    scopes: frozenset[str]
    rate_class: str
    customer_status: str
    expires_at: datetime | None
    algorithm: KeyAlgorithm = KeyAlgorithm.HMAC_SHA256
    networks: tuple[Network, ...] = ()
