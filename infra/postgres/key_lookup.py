"""Looking API keys up by their ids, those that are asked for at the same time in one query."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.api_keys import networks_of
from domain.customer import ApiKey, KeyAlgorithm
from infra.postgres import tables
from infra.postgres.reading import reading
from infra.secret_box import SecretBox

_MOST_AT_ONCE = 500

Answer = asyncio.Future[ApiKey | None]


class KeyLookup:
    """Asks one query at a time: what comes meanwhile goes together in the next.

    So whoever guesses ids as fast as he can costs less than a query an id.
    """

    def __init__(self, engine: AsyncEngine, box: SecretBox) -> None:
        # One statement needs no transaction around it, which would be two trips more.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._box = box
        self._waiting: list[tuple[str, Answer]] = []
        self._asking: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> ApiKey | None:
        """Return the unrevoked key `key_id`; `ConnectionError` when PostgreSQL is away."""
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.append((key_id, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        """Ask for what waits, and for what has come meanwhile, until nothing does."""
        try:
            while self._waiting:
                batch = self._waiting[:_MOST_AT_ONCE]
                del self._waiting[:_MOST_AT_ONCE]
                try:
                    rows = await self._rows({key_id for key_id, _ in batch})
                except Exception as error:  # noqa: BLE001 - it is each one's who asked
                    for _, answer in batch:
                        if not answer.done():
                            answer.set_exception(error)
                    continue
                for key_id, answer in batch:
                    if not answer.done():
                        self._settle(answer, rows.get(key_id))
        finally:
            self._asking = None

    def _settle(self, answer: Answer, row: Any) -> None:
        try:
            answer.set_result(None if row is None else self._key(row))
        except Exception as error:  # noqa: BLE001 - a secret that does not open is its own fault
            answer.set_exception(error)

    async def _rows(self, key_ids: Iterable[str]) -> dict[str, Any]:
        query = (
            sa.select(tables.api_key, tables.customer.c.rate_class, tables.customer.c.status)
            .join_from(tables.api_key, tables.customer)
            .where(
                tables.api_key.c.key_id == sa.any_(sa.cast(list(key_ids), sa.ARRAY(sa.Text))),
                tables.api_key.c.revoked_at.is_(None),
            )
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return {row.key_id: row for row in rows}

    def _key(self, row: Any) -> ApiKey:
        return ApiKey(
            key_id=row.key_id,
            customer_id=row.customer_id,
            secret=self._box.open(row.secret_sealed, row.key_id),
            scopes=frozenset(row.scopes.split()),
            rate_class=row.rate_class,
            customer_status=row.status,
            expires_at=row.expires_at,
            algorithm=KeyAlgorithm(row.algorithm),
            networks=networks_of(row.networks.split()),
        )
