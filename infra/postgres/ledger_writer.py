"""Group commit: posts that arrive together share one transaction, each with an outcome of its own.

A stream's hash chain has one writer at a time, so single transactions come one after the other at
the disk's pace. Here they wait for each other anyway, and so they may as well travel together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.account import parse_account
from domain.ledger import JournalRequest, stored_detail
from infra.postgres.ledger_store import (
    AccountBalance,
    Decide,
    LedgerStore,
    Offer,
    PostResult,
    VersionConflict,
)

MAX_BATCH = 512


@dataclass(slots=True)
class _Waiting:
    offer: Offer
    result: asyncio.Future[PostResult]


@dataclass(slots=True)
class _Wish:
    codes: frozenset[str]
    result: asyncio.Future[dict[str, AccountBalance]]


@dataclass(slots=True)
class _Desk:
    """What waits, and who serves it."""

    offers: list[_Waiting] = field(default_factory=list)
    wishes: list[_Wish] = field(default_factory=list)
    writing: asyncio.Task[None] | None = None
    reading: asyncio.Task[None] | None = None


class LedgerWriter:
    """Posts to one stream for one process. Writers of other processes may run beside it."""

    def __init__(self, engine: AsyncEngine, stream: str, *, max_batch: int = MAX_BATCH) -> None:
        self._engine = engine
        self._stream = stream
        self._max_batch = max_batch
        self._store = LedgerStore()
        self._desk = _Desk()

    async def post(self, request: JournalRequest, decide: Decide | None = None) -> PostResult:
        """Return the outcome once it is committed.

        What is no account or no canonical detail raises before it meets the others (`ValueError`).
        A database that is away raises; the same request may then be offered again.
        """
        offer = Offer(request, decide)
        for code in offer.codes:
            parse_account(code)
        stored_detail(request)
        waiting = _Waiting(offer, asyncio.get_running_loop().create_future())
        self._desk.offers.append(waiting)
        if self._desk.writing is None:
            self._desk.writing = asyncio.create_task(self._write())
        return await waiting.result

    async def post_decided(self, codes: Iterable[str], decide: Decide) -> PostResult | None:
        """Read accounts, decide, and post on the condition that they are still as they were read.

        No lock is held while deciding. Where an account has changed meanwhile, `decide` is asked
        again with what it is now. None when there is nothing to post.
        """
        seen = await self.read(codes)
        request = decide(seen)
        if request is None:
            return None
        result = await self.post(request, decide)
        return None if isinstance(result, VersionConflict) else result

    async def read(self, codes: Iterable[str]) -> Mapping[str, AccountBalance]:
        """Return accounts by code, without locks; reads that arrive together are one query."""
        wish = _Wish(frozenset(codes), asyncio.get_running_loop().create_future())
        self._desk.wishes.append(wish)
        if self._desk.reading is None:
            self._desk.reading = asyncio.create_task(self._read())
        return await wish.result

    async def _read(self) -> None:
        desk = self._desk
        while desk.wishes:
            batch, desk.wishes = desk.wishes, []
            try:
                async with self._engine.connect() as conn:
                    found = await self._store.read(conn, {c for wish in batch for c in wish.codes})
            except Exception as error:  # noqa: BLE001 - whoever waits is told
                for wish in batch:
                    _fail(wish.result, error)
            else:
                for wish in batch:
                    if not wish.result.done():
                        wish.result.set_result({code: found[code] for code in wish.codes})
        desk.reading = None

    async def _write(self) -> None:
        desk = self._desk
        while desk.offers:
            batch, desk.offers = desk.offers[: self._max_batch], desk.offers[self._max_batch :]
            try:
                results = await self._commit([waiting.offer for waiting in batch])
            except Exception as error:  # noqa: BLE001 - whoever waits is told
                for waiting in batch:
                    _fail(waiting.result, error)
            else:
                for waiting, result in zip(batch, results, strict=True):
                    if not waiting.result.done():  # somebody still waits
                        waiting.result.set_result(result)
        desk.writing = None

    async def _commit(self, offers: list[Offer]) -> list[PostResult]:
        async with self._engine.begin() as conn:
            return await self._store.post_many(conn, self._stream, offers)


def _fail(result: asyncio.Future[Any], error: Exception) -> None:
    if not result.done():
        result.set_exception(error)
