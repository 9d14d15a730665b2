"""What customers of the dialect call their order lists, a row for each order of a list."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.postgres import tables
from infra.postgres.reading import reading, writing

_TABLE = tables.order_list_name
_ROW = _TABLE.c


class ListNameStore:
    """Reads and writes them; the customer is in every condition."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def name(self, customer_id: int, client_order_ids: Sequence[str], name: str) -> list[str]:
        """Name the list of these orders; return those that had no name, of an earlier list."""
        statement = (
            insert(_TABLE)
            .values(_rows(customer_id, client_order_ids, name))
            .on_conflict_do_nothing()
            .returning(_ROW.client_order_id)
        )
        async with writing(self._engine) as connection:
            return list((await connection.execute(statement)).scalars())

    async def rename(self, customer_id: int, client_order_ids: Sequence[str], name: str) -> None:
        """Name the list of these orders, whatever earlier ones of their ids were called."""
        statement = insert(_TABLE).values(_rows(customer_id, client_order_ids, name))
        async with writing(self._engine) as connection:
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["customer_id", "client_order_id"],
                    set_={"list_name": name, "named_at": sa.func.now()},
                )
            )

    async def forget(self, customer_id: int, client_order_ids: Sequence[str], name: str) -> None:
        """Take the name from these orders: there is no such list."""
        statement = sa.delete(_TABLE).where(
            _ROW.customer_id == customer_id,
            _ROW.client_order_id.in_(client_order_ids),
            _ROW.list_name == name,
        )
        async with writing(self._engine) as connection:
            await connection.execute(statement)

    async def of_orders(self, customer_id: int, client_order_ids: Sequence[str]) -> dict[str, str]:
        """Return client order id -> the name of the list that the order is of, if it has one."""
        if not client_order_ids:
            return {}
        query = sa.select(_ROW.client_order_id, _ROW.list_name).where(
            _ROW.customer_id == customer_id, _ROW.client_order_id.in_(client_order_ids)
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return {row.client_order_id: row.list_name for row in rows}

    async def order_in(self, customer_id: int, name: str) -> str | None:
        """Return the client id of an order in the customer's newest list of that name."""
        query = (
            sa.select(_ROW.client_order_id)
            .where(_ROW.customer_id == customer_id, _ROW.list_name == name)
            .order_by(_ROW.named_at.desc(), _ROW.client_order_id)
            .limit(1)
        )
        async with reading(self._engine) as connection:
            return (await connection.execute(query)).scalar()


def _rows(customer_id: int, client_order_ids: Sequence[str], name: str) -> list[dict[str, object]]:
    return [
        {"customer_id": customer_id, "client_order_id": one, "list_name": name}
        for one in client_order_ids
    ]
