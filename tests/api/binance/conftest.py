"""The small exchange whose event log is followed, for tests of the dialect's sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.api.binance.listening import Desk
from tests.api.binance.one_exchange import import_only_binance

import_only_binance()


@pytest_asyncio.fixture
async def heard() -> AsyncIterator[Desk]:
    """Give an exchange whose event log is followed."""
    made = Desk()
    yield made
    await made.close()
