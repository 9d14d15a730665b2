"""API keys that customers make for themselves: what a new one may be, and from where it is used.

A key never makes a stronger one: its keys have scopes, addresses and an end within its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.customer import ApiKey, KeyAlgorithm, Network

MAX_KEYS = 30  # of a customer, that are not revoked; expired ones count
MAX_NETWORKS = 16  # of a key
LONGEST_LABEL = 64
KEY_ISSUED = "key_issued"  # audit action, about the customer
KEY_REVOKED = "key_revoked"  # audit action, about the customer


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is asked for. Without `public_key` (32 bytes, Ed25519) a secret is made.

    `networks`: from where it may be used, nowhere named is anywhere. `label` is unique among a
    customer's keys that are not revoked, unless it is empty.
    """

    label: str
    scopes: tuple[str, ...]
    public_key: bytes | None = None
    networks: tuple[Network, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key that is not revoked, as its owner sees it; its secret is not among it."""

    key_id: str
    label: str
    algorithm: KeyAlgorithm
    scopes: tuple[str, ...]
    networks: tuple[str, ...]
    expires_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key that was just made; `secret` is "" of an Ed25519 key, and is never told again."""

    key: ListedKey
    secret: str


class KeyRefusal(StrEnum):
    """Why a key is not made; checked in this order."""

    LABEL_TAKEN = "key_label_taken"
    TOO_MANY = "too_many_keys"


def network_of(text: str) -> Network | None:
    """Return an address or a network in CIDR notation; None for what is neither.

    A network is named by its first address: 10.0.0.1/8 is somebody's error. So is an IPv4 address
    in the clothes of IPv6, and one with a scope, which means nothing on another machine.
    """
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Network):
        address = found.network_address
        if address.ipv4_mapped is not None or address.scope_id is not None:
            return None
    return found


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return networks that were written by us; `ValueError` for what is none."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def admits(networks: Sequence[Network], host: str) -> bool:
    """Return whether a key of these networks may be used from an address; none is anywhere."""
    if not networks:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # how a socket of both families tells it
    return any(address.version == one.version and address in one for one in networks)


def strength_refusal(maker: ApiKey, wanted: NewKey) -> str | None:
    """Return why a key may not make another one, in words, or None.

    A session's keys outlive it and are used from elsewhere: that is what they are made for.
    """
    beyond = sorted(set(wanted.scopes) - maker.scopes)
    if beyond:
        return f"The key that asks for it lacks the scope {beyond[0]!r} itself."
    if maker.algorithm is KeyAlgorithm.SESSION:
        return None
    if maker.networks and not (
        wanted.networks and all(_within(one, maker.networks) for one in wanted.networks)
    ):
        return "The key that asks for it may be used from fewer addresses."
    if maker.expires_at is not None and (
        wanted.expires_at is None or wanted.expires_at > maker.expires_at
    ):
        return "The key that asks for it ends earlier."
    return None


def _within(inner: Network, outer: Sequence[Network]) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return any(inner.subnet_of(one) for one in outer if isinstance(one, ipaddress.IPv4Network))
    return any(inner.subnet_of(one) for one in outer if isinstance(one, ipaddress.IPv6Network))
