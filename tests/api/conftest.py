"""The small exchange for the API's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.api.exchange import Exchange


@pytest_asyncio.fixture
async def exchange() -> AsyncIterator[Exchange]:
    """Give a fresh exchange with two funded customers."""
    made = Exchange()
    yield made
    await made.http.aclose()
