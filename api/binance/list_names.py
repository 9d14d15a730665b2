"""Names of order lists, `listClientOrderId`: the engine knows none, so they are rows of their own.

A name is written under the client ids of the list's orders before they are placed, so whoever
hears of an order of the list can tell the name of the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ListNames(Protocol):
    """Customers' names of lists, from PostgreSQL; `ConnectionError` while it is away."""

    async def name(self, customer_id: int, client_order_ids: Sequence[str], name: str) -> list[str]:
        """Name the list of these orders; return those that had no name, of an earlier list."""

    async def rename(self, customer_id: int, client_order_ids: Sequence[str], name: str) -> None:
        """Name the list of these orders, whatever earlier ones of their ids were called."""

    async def forget(self, customer_id: int, client_order_ids: Sequence[str], name: str) -> None:
        """Take the name from these orders: there is no such list."""

    async def of_orders(self, customer_id: int, client_order_ids: Sequence[str]) -> dict[str, str]:
        """Return client order id -> the name of the list that the order is of, if it has one."""

    async def order_in(self, customer_id: int, name: str) -> str | None:
        """Return the client id of an order in the customer's newest list of that name."""
