"""The embedded servers answer as their clients expect."""

from __future__ import annotations

import asyncpg
import httpx
import pytest
from redis import Redis
from temporalio.client import Client

pytestmark = pytest.mark.servers


async def test_fresh_database_is_migrated_and_empty(fresh_database: str) -> None:
    """A test's own database has our tables and no customers."""
    connection = await asyncpg.connect(fresh_database.replace("+asyncpg", ""))
    try:
        assert await connection.fetchval("SELECT count(*) FROM customer") == 0
        assert (await connection.fetchval("SHOW server_version")).startswith("18.")
    finally:
        await connection.close()


async def test_database_refuses_a_wrong_password(postgres_url: str) -> None:
    """Another user of this machine cannot read the books."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_url.replace("+asyncpg", ""), password="guess")


def test_valkey_is_a_current_redis(redis_url: str) -> None:
    """Valkey answers the Redis protocol and is empty."""
    with Redis.from_url(redis_url) as client:
        assert client.info("server")["valkey_version"].startswith("9.")
        assert client.dbsize() == 0


async def test_temporal_knows_our_namespace(temporal: str) -> None:
    """The namespace and the search attributes exist before the first workflow."""
    client = await Client.connect(temporal, namespace="rialto")
    assert await client.count_workflows("Stage = 'nothing' AND NotionalUsd >= 10000") is not None


async def test_chain_mines_a_block_a_second(chain_url: str) -> None:
    """The chain is anvil's test chain and advances."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    async with httpx.AsyncClient() as client:
        answer = await client.post(chain_url, json=call)
    assert int(answer.json()["result"], 16) == 31337
