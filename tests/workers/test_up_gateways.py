"""`rialto up --gateways 3`: each serves every account, and one that dies comes back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from api.client import markets, orders
from api.client.account import ApiAccount
from api.client.http import AsyncClient
from api.client.stream import AccountMessage, Stream
from api.schemas.orders import PlaceOrderIn
from tests.workers.cli.verbs import run_verb
from tests.workers.once_run import ENVIRONMENT, healthy, once, pid_of

# The short forms are in test_stack and in tests/api/websocket/test_two_gateways.
pytestmark = [pytest.mark.servers, pytest.mark.long]
_PATIENCE_SECONDS = 60


async def _next_order(stream: Stream) -> str:
    """Return the id of the next order that the account is told of."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        async for heard in stream:
            if isinstance(heard, AccountMessage):
                for event in heard.events:
                    if event["event"] == "order_placed":
                        return str(event["order"]["order_id"])
    raise AssertionError("the stream ended")


async def _place(url: str, account: ApiAccount) -> str:
    order = PlaceOrderIn(symbol="ETH/USDT", side="buy", price="2300", quantity="0.01")
    async with AsyncClient(url, account) as client:
        return str((await client.send(orders.place(order))).order_id)


async def _account_goes_on(folder: Path, demo: dict[str, Any]) -> None:
    """Follow an account at the second gateway, kill that, and go on at the third."""
    _, second, third = demo["gateways"]
    account = ApiAccount(**demo["accounts"][0])
    stream = Stream(second, account)
    listening = asyncio.create_task(_next_order(stream))
    while not stream.after:  # noqa: ASYNC110 - it has to have begun
        await asyncio.sleep(0.05)
    heard = [await _place(third, account)]
    assert await listening == heard[0]
    os.kill(pid_of(folder, "gateway-2"), signal.SIGKILL)
    heard.append(await _place(third, account))
    assert await _next_order(Stream(third, account, after=stream.after)) == heard[1]


async def _answers(url: str) -> list[str]:
    async with AsyncClient(url, patience_seconds=_PATIENCE_SECONDS) as client:
        components = (await client.send(markets.system())).components
    return [one.process for one in components if one.name == "API gateway"]


def _status(folder: Path) -> subprocess.CompletedProcess[str]:
    return run_verb("status", "--data", str(folder / "data"), "--json", environment=ENVIRONMENT)


def test_three_gateways(tmp_path: Path) -> None:
    """An account is followed through a death; status and each gateway name all three."""
    process, log = once(tmp_path, "--gateways", "3", "--seconds", "20")
    demo = healthy(process, tmp_path, log)
    assert len(demo["gateways"]) == 3
    asyncio.run(_account_goes_on(tmp_path, demo))
    for url in demo["gateways"]:  # the killed one too
        assert asyncio.run(_answers(url)) == ["gateway, gateway-2, gateway-3"]
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (found := json.loads(_status(tmp_path).stdout))["healthy"]:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    assert found["gateways"] == demo["gateways"]
    restarts = {one["name"]: one["restarts"] for one in found["processes"]}
    assert [restarts[name] for name in ("gateway", "gateway-2", "gateway-3")] == [0, 1, 0]
    assert process.wait(240) == 0, log.read_text()
    assert json.loads((tmp_path / "report.json").read_text())["problems"] == []
