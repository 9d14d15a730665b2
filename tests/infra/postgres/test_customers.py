"""Customers and API keys on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from domain.customer import STAFF
from infra.postgres import engine as postgres
from infra.postgres import tables
from infra.postgres.customers import CustomerStore
from infra.secret_box import SecretBox

pytestmark = pytest.mark.servers


@pytest_asyncio.fixture
async def store(fresh_database: str, tmp_path: Path) -> AsyncIterator[CustomerStore]:
    """Give a store on an empty database."""
    engine = postgres.create(fresh_database)
    yield CustomerStore(engine, SecretBox.from_file(tmp_path / "key"))
    await engine.dispose()


async def test_ids_are_dense_whoever_creates(store: CustomerStore) -> None:
    """Ten creations at once: ids 1 to 10, each with its own deposit index."""
    made = await asyncio.gather(*(store.create_customer(f"c{number}") for number in range(10)))
    assert sorted(customer.customer_id for customer in made) == list(range(1, 11))
    assert len({customer.deposit_index for customer in made}) == 10


async def test_creating_again_gives_the_same_customer(store: CustomerStore) -> None:
    """A name is one customer; what it was created with stays."""
    first = await store.create_customer("alice", rate_class="house")
    assert await store.create_customer("alice") == first


async def test_a_key_is_found_with_its_secret_and_scopes(store: CustomerStore) -> None:
    """The gateway gets the opened secret; the row holds it sealed."""
    customer = await store.create_customer("alice")
    issued = await store.create_api_key(customer.customer_id, scopes=("read",))
    found = await store.find_key(issued.api_key)
    assert found is not None
    assert found.secret == issued.api_secret.encode()
    assert found.scopes == {"read"}
    assert found.customer_id == customer.customer_id
    assert found.customer_status == "active"
    async with store._engine.connect() as connection:
        row = (await connection.execute(sa.select(tables.api_key))).one()
    assert issued.api_secret.encode() not in bytes(row.secret_sealed)


async def test_an_unknown_scope_is_refused(store: CustomerStore) -> None:
    """A misspelt scope must not become a key that can do nothing, or too much."""
    with pytest.raises(ValueError, match="unknown scopes"):
        await store.create_api_key(1, scopes=("reed",))


async def test_nobody_is_customer_and_staff(store: CustomerStore) -> None:
    """A customer's row gets no key that reads files, one of staff none that trades."""
    alice = await store.create_customer("alice")
    clara = await store.create_customer("clara", kind=STAFF)
    with pytest.raises(ValueError, match="is customer"):
        await store.create_api_key(alice.customer_id, scopes=("read", "compliance"))
    with pytest.raises(ValueError, match="is staff"):
        await store.create_api_key(clara.customer_id)
    issued = await store.create_api_key(clara.customer_id, scopes=("compliance",))
    found = await store.find_key(issued.api_key)
    assert found is not None
    assert found.scopes == {"compliance"}


async def test_an_absent_database_is_a_connection_error(tmp_path: Path) -> None:
    """The adapters' one word for `away`."""
    engine = postgres.create("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    store = CustomerStore(engine, SecretBox.from_file(tmp_path / "key"))
    with pytest.raises(ConnectionError):
        await store.find_key("x")
    await engine.dispose()
