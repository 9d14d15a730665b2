"""Customers' own keys on a real PostgreSQL: once each, in the audit log, with their bounds."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.api_keys import MAX_KEYS, KeyRefusal, MadeKey, NewKey, networks_of
from domain.customer import KeyAlgorithm
from infra.postgres.api_keys import ApiKeyStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.customers import CustomerStore
from infra.secret_box import SecretBox

pytestmark = pytest.mark.servers


class World:
    """A database with two customers."""

    def __init__(self, engine: AsyncEngine, box: SecretBox) -> None:
        self.engine = engine
        self.customers = CustomerStore(engine, box)
        self.keys = ApiKeyStore(engine, box, AuditStore())

    async def made(self, wanted: NewKey) -> MadeKey:
        """Make a key of the first customer."""
        found = await self.keys.add(1, wanted, by="customer:1")
        assert isinstance(found, MadeKey)
        return found


@pytest.fixture
def world(two_customers: tuple[AsyncEngine, SecretBox]) -> World:
    """Give customers 1 and 2."""
    return World(*two_customers)


async def test_a_key_is_found_with_its_bounds_until_it_is_revoked(world: World) -> None:
    """Networks and end come back as they were given; another customer cannot revoke it."""
    ends = dt.datetime(2100, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)
    networks = networks_of(["192.0.2.7", "2001:db8::/48"])
    made = await world.made(NewKey("bot", ("read", "trade"), b"p" * 32, networks, ends))
    assert made.secret == ""
    found = await world.customers.find_key(made.key.key_id)
    assert found is not None
    assert (found.algorithm, found.secret) == (KeyAlgorithm.ED25519, b"p" * 32)
    assert (found.networks, found.expires_at, found.scopes) == (
        networks,
        ends,
        frozenset(("read", "trade")),
    )
    assert await world.keys.listed(1) == [made.key]
    assert await world.keys.listed(2) == []
    assert await world.keys.revoke(2, made.key.key_id, by="customer:2") is None
    assert await world.keys.revoke(1, made.key.key_id, by="customer:1") == made.key
    assert await world.keys.revoke(1, made.key.key_id, by="customer:1") is None
    assert await world.customers.find_key(made.key.key_id) is None


async def test_each_change_is_in_the_audit_log(world: World) -> None:
    """Who made and revoked what; no secret is in it."""
    made = await world.made(NewKey("bot", ("read",)))
    await world.keys.revoke(1, made.key.key_id, by="staff:olga")
    async with world.engine.connect() as connection:
        records = await AuditStore().read(connection, "customer-1")
        assert await AuditStore().faults(connection, records) == {}
    assert [(one.actor, one.action) for one in records] == [
        ("customer:1", "key_issued"),
        ("staff:olga", "key_revoked"),
    ]
    assert records[0].detail["label"] == "bot"
    assert made.secret not in str(records)


async def test_a_label_and_the_number_of_keys_are_held_against_haste(world: World) -> None:
    """Twenty requests at once with one label make one key; the list never grows too long."""
    found = await asyncio.gather(
        *(world.keys.add(1, NewKey("bot", ("read",)), by="x") for _ in range(20))
    )
    assert sum(isinstance(one, MadeKey) for one in found) == 1
    assert {one for one in found if not isinstance(one, MadeKey)} == {KeyRefusal.LABEL_TAKEN}
    found = await asyncio.gather(
        *(world.keys.add(1, NewKey(f"b{n}", ("read",)), by="x") for n in range(MAX_KEYS + 5))
    )
    assert sum(isinstance(one, MadeKey) for one in found) == MAX_KEYS - 1
    assert len(await world.keys.listed(1)) == MAX_KEYS
