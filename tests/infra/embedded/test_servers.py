"""The embedded servers answer as their clients expect."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from redis import Redis
from temporalio.client import Client

from infra.embedded.chain import ChainServer
from infra.embedded.ports import free_port
from infra.embedded.temporal import TemporalServer
from tests.conftest import Servers

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


def test_chain_rests_when_nothing_moves_and_wakes_for_a_transaction(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle chain mines few blocks; one transaction brings the pace of a block a second back."""
    chain = servers.new_chain()
    try:
        monkeypatch.setattr("infra.embedded.chain._QUIET_SECONDS", 0.0)
        chain._busy_until = 0.0
        chain.keep_pace()
        before = _block_number(chain.url)
        time.sleep(2.5)
        assert _block_number(chain.url) == before
        accounts = _call(chain.url, "eth_accounts")
        _call(chain.url, "eth_sendTransaction", {"from": accounts[0], "to": accounts[1]})
        monkeypatch.setattr("infra.embedded.chain._QUIET_SECONDS", 60.0)
        chain.keep_pace()
        deadline = time.monotonic() + 10
        while _block_number(chain.url) < before + 4 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert _block_number(chain.url) >= before + 4
    finally:
        chain.kill()


def test_torn_chain_state_is_replaced_by_the_copy(tmp_path: Path) -> None:
    """A save that was cut off by a crash does not lose the chain."""
    chain = ChainServer(tmp_path / "chain", tmp_path / "chain.log", free_port())
    chain.start()
    state = tmp_path / "chain" / "state.json"
    deadline = time.monotonic() + 10
    while not (tmp_path / "chain" / "state.copy.json").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
        chain.keep_copy()
    height = _block_number(chain.url)
    chain.kill()
    state.write_bytes(state.read_bytes()[:100])
    chain.start()
    assert _block_number(chain.url) >= height - 2
    chain.kill()


def test_temporals_page_is_that_of_our_workflows(tmp_path: Path) -> None:
    """The namespace `default`, to which the bare address leads, holds nothing of ours."""
    ports = {"port": 1, "http_port": 2, "metrics_port": 3, "search_attributes": {}}
    log = tmp_path / "log"
    shown = TemporalServer(tmp_path, log, ui_port=4, **ports)  # type: ignore[arg-type]
    assert shown.ui_url == "http://127.0.0.1:4/namespaces/rialto/workflows"
    assert TemporalServer(tmp_path, log, **ports).ui_url == ""  # type: ignore[arg-type]


def _block_number(url: str) -> int:
    return int(_call(url, "eth_blockNumber"), 16)


def _call(url: str, method: str, *params: object) -> Any:
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(url, json=call).json()["result"]
