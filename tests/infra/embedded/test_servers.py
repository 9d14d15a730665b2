"""The embedded servers answer as their clients expect."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from redis import Redis
from temporalio.client import Client

from infra.embedded.chain import _IDLE_BLOCK_SECONDS, ChainServer
from infra.embedded.ports import own_port
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
        chain.look_after()
        before = _block_number(chain.url)
        began = time.monotonic()
        time.sleep(2.5)
        passed = _block_number(chain.url) - before
        assert passed <= (time.monotonic() - began) // _IDLE_BLOCK_SECONDS
        accounts = _call(chain.url, "eth_accounts")
        _call(chain.url, "eth_sendTransaction", {"from": accounts[0], "to": accounts[1]})
        monkeypatch.setattr("infra.embedded.chain._QUIET_SECONDS", 60.0)
        chain.look_after()
        deadline = time.monotonic() + 30
        while _block_number(chain.url) < before + 4 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert _block_number(chain.url) >= before + 4
    finally:
        chain.kill()


def test_killed_chain_keeps_its_transactions_and_its_height(tmp_path: Path) -> None:
    """After kill -9, what had a transaction is there, what was empty is mined again."""
    chain = ChainServer(tmp_path / "chain", tmp_path / "chain.log", own_port())
    chain.start()
    people = _call(chain.url, "eth_accounts")
    paid = _call(chain.url, "eth_sendTransaction", {"from": people[0], "to": people[1]})
    _until_paid(chain.url, paid)
    chain.look_after()
    saved = (tmp_path / "chain" / "state.json").stat().st_mtime_ns
    _call(chain.url, "anvil_mine", "0x10")
    chain.look_after()
    assert (tmp_path / "chain" / "state.json").stat().st_mtime_ns == saved
    height = _block_number(chain.url)
    chain.kill()
    chain.start()
    assert height <= _block_number(chain.url) <= height + 5
    assert _call(chain.url, "eth_getTransactionReceipt", paid)["status"] == "0x1"
    chain.kill()


def test_chain_that_is_much_too_low_stays_so(tmp_path: Path) -> None:
    """An old state is not made to look like the present one: the watcher must see it."""
    chain = ChainServer(tmp_path / "chain", tmp_path / "chain.log", own_port())
    chain.start()
    chain.look_after()
    (tmp_path / "chain" / "height").write_text("5000")
    chain.kill()
    chain.start()
    assert _block_number(chain.url) < 100
    chain.kill()


def test_saved_chain_does_not_grow_with_empty_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After hundreds of them, the state is as small and saved as rarely as before."""
    monkeypatch.setattr("infra.embedded.chain._KEPT_BLOCKS", 100)
    chain = ChainServer(tmp_path / "chain", tmp_path / "chain.log", own_port())
    state = tmp_path / "chain" / "state.json"
    chain.start()
    people = _call(chain.url, "eth_accounts")
    paid = _call(chain.url, "eth_sendTransaction", {"from": people[0], "to": people[1]})
    _until_paid(chain.url, paid)
    for _ in range(3):
        _call(chain.url, "anvil_mine", hex(200))
        chain.look_after()
        assert len(json.loads(state.read_bytes())["blocks"]) <= 110
        assert state.stat().st_size < 400_000
    written = state.stat().st_mtime_ns
    for _ in range(3):
        time.sleep(1)
        chain.look_after()
    assert state.stat().st_mtime_ns == written
    height = _block_number(chain.url)
    chain.stop()
    chain.start()
    assert _block_number(chain.url) >= height
    assert _call(chain.url, "eth_getTransactionReceipt", paid)["status"] == "0x1"
    chain.kill()


def test_temporals_page_is_that_of_our_workflows(tmp_path: Path) -> None:
    """The namespace `default`, to which the bare address leads, holds nothing of ours."""
    ports = {"port": 1, "http_port": 2, "metrics_port": 3, "search_attributes": {}}
    log = tmp_path / "log"
    shown = TemporalServer(tmp_path, log, ui_port=4, **ports)  # type: ignore[arg-type]
    assert shown.ui_url == "http://127.0.0.1:4"
    assert TemporalServer(tmp_path, log, **ports).ui_url == ""  # type: ignore[arg-type]


def _until_paid(url: str, transaction: str) -> None:
    deadline = time.monotonic() + 30
    while _call(url, "eth_getTransactionReceipt", transaction) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _block_number(url: str) -> int:
    return int(_call(url, "eth_blockNumber"), 16)


def _call(url: str, method: str, *params: object) -> Any:
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(url, json=call).json()["result"]
