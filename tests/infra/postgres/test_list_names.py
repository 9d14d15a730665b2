"""Names of order lists on a real PostgreSQL."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from infra.postgres import engine as postgres
from infra.postgres import tables
from infra.postgres.list_names import ListNameStore

pytestmark = pytest.mark.servers


async def test_a_list_is_found_by_its_name_and_its_orders(fresh_database: str) -> None:
    """The newest of a name; an order keeps its list's name until it is renamed; none of others."""
    engine = postgres.create(fresh_database)
    async with engine.begin() as connection:
        customers = [
            {"customer_id": one, "name": f"c{one}", "deposit_index": one} for one in (1, 2)
        ]
        await connection.execute(sa.insert(tables.customer), customers)
    names = ListNameStore(engine)
    assert sorted(await names.name(1, ["a", "b"], "mine")) == ["a", "b"]
    assert await names.name(1, ["b", "c"], "other") == ["c"]
    assert await names.of_orders(1, ["a", "b", "c", "d"]) == {
        "a": "mine",
        "b": "mine",
        "c": "other",
    }
    assert await names.of_orders(1, []) == await names.of_orders(2, ["a"]) == {}
    await names.rename(1, ["b", "c"], "other")
    assert await names.order_in(1, "mine") == "a"
    assert await names.order_in(1, "other") == "b"
    assert await names.order_in(2, "mine") is None
    await names.name(1, ["z"], "mine")
    assert await names.order_in(1, "mine") == "z"
    await names.forget(1, ["z", "b"], "mine")
    assert await names.of_orders(1, ["z", "b"]) == {"b": "other"}
    assert await names.order_in(1, "mine") == "a"
    await engine.dispose()
