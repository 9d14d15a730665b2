"""Passwords: what is kept of them, and that an unknown one costs as much."""

from __future__ import annotations

import asyncio

import pytest

from infra.passwords import Passwords


async def test_a_password_matches_what_is_kept_of_it() -> None:
    """Argon2id with the parameters that are asked for, each time with another salt."""
    passwords = Passwords()
    kept = await passwords.hashed(b"correct horse battery")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert kept != await passwords.hashed(b"correct horse battery")
    assert await passwords.matches(b"correct horse battery", kept)
    assert not await passwords.matches(b"correct horse batterz", kept)
    assert not await passwords.matches(b"correct horse battery", None)


async def test_a_flood_is_turned_away() -> None:
    """Whoever comes when many wait is told so at once, and not minutes later."""
    passwords = Passwords(memory_kib=64)
    tries = [passwords.matches(b"x", None) for _ in range(100)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    turned_away = [one for one in found if isinstance(one, ConnectionError)]
    assert len(turned_away) == 36
    assert not await passwords.matches(b"x", None)


@pytest.mark.parametrize("kept", ["", "$argon2id$v=19$m=64,t=2,p=1$AA$AA"])
async def test_what_is_no_hash_matches_nothing(kept: str) -> None:
    """A row that somebody has spoilt signs nobody in."""
    assert not await Passwords(memory_kib=64).matches(b"x", kept)
