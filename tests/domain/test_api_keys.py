"""What a customer's new key may be, and from where a key is used."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from domain.api_keys import NewKey, admits, network_of, networks_of, strength_refusal
from domain.customer import ApiKey, KeyAlgorithm

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
MAKER = ApiKey("k", 1, b"s", frozenset({"read", "withdraw"}), "standard", "active", None)
SIMPLE = NewKey("bot", ("read",))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::/48", "2001:db8::/48"),
        ("2001:DB8:0::1", "2001:db8::1/128"),
        ("10.0.0.1/8", None),  # not its first address
        ("2001:db8::1/48", None),
        ("::ffff:192.0.2.7", None),  # an IPv4 address in other clothes
        ("fe80::1%eth0", None),
        ("192.0.2.07", None),  # octal to some
        ("192.0.2", None),
        ("192.0.2.7/33", None),
        ("192.0.2.7/255.255.255.0", None),
        ("", None),
        ("example.com", None),
    ],
)
def test_what_is_a_network(text: str, found: str | None) -> None:
    """One spelling of each network; what somebody may have meant otherwise is refused."""
    network = network_of(text)
    assert (None if network is None else str(network)) == found


@pytest.mark.parametrize(
    ("host", "admitted"),
    [
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("2001:db8::ffff", True),
        ("2001:db9::1", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_from_where_a_key_is_used(host: str, admitted: bool) -> None:
    """IPv4 and IPv6 each by their own networks; an address that is none is nowhere."""
    networks = networks_of(["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"])
    assert admits(networks, host) == admitted


def test_a_key_without_networks_is_used_anywhere() -> None:
    """Also from where the address is not known."""
    assert admits((), "unknown")


def test_a_key_makes_no_stronger_one() -> None:
    """Neither more scopes, nor more addresses, nor a later end; the same is not stronger."""
    assert strength_refusal(MAKER, SIMPLE) is None
    assert "'trade'" in str(strength_refusal(MAKER, replace(SIMPLE, scopes=("read", "trade"))))
    bound = replace(MAKER, networks=networks_of(["10.0.0.0/8", "2001:db8::/32"]))
    for texts, allowed in (
        ([], False),
        (["10.1.0.0/16", "2001:db8:1::/48"], True),
        (["10.0.0.0/8"], True),
        (["10.0.0.0/7"], False),
        (["10.1.0.0/16", "192.0.2.1"], False),
        (["2001:db8::/31"], False),
    ):
        wanted = replace(SIMPLE, networks=networks_of(texts))
        assert (strength_refusal(bound, wanted) is None) == allowed, texts
    ends = replace(MAKER, expires_at=NOON)
    later = NOON + dt.timedelta(microseconds=1)
    assert strength_refusal(ends, SIMPLE) is not None
    assert strength_refusal(ends, replace(SIMPLE, expires_at=later)) is not None
    assert strength_refusal(ends, replace(SIMPLE, expires_at=NOON)) is None


def test_a_sessions_keys_outlive_it() -> None:
    """They are made for programs: only the scopes are bound."""
    session = replace(MAKER, algorithm=KeyAlgorithm.SESSION, expires_at=NOON)
    assert strength_refusal(session, SIMPLE) is None
    assert strength_refusal(session, replace(SIMPLE, scopes=("trade",))) is not None
