"""`rialto prices watch`: an index of three venues as text and JSON; what is missing is said."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from typer.testing import CliRunner, Result

from tests.infra.prices.venues import VENUES, door, saying
from workers.__main__ import build
from workers.price_watch import clock_us

PRICES = {"binance": "67000.1", "coinbase": "67000.3", "kraken": "66999.9"}


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), ["prices", "watch", *arguments])


@pytest.fixture
def urls() -> Iterator[list[str]]:
    """Run three venues on a loop of their own: the verb has its own, too."""
    found: list[str] = []
    is_open, loop = threading.Event(), asyncio.new_event_loop()

    async def hold(leaving: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            for name, price in PRICES.items():
                frame = VENUES[name].trade("BTC", price, clock_us())
                there = await stack.enter_async_context(door(saying(frame)))
                found.extend(["--url", f"{name}={there.url}"])
            is_open.set()
            await leaving.wait()

    leaving = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(hold(leaving),))
    thread.start()
    assert is_open.wait(30)
    yield found
    loop.call_soon_threadsafe(leaving.set)
    thread.join()
    loop.close()


def test_an_index_of_three_venues(urls: list[str]) -> None:
    """Each venue's price with its age; the index is their median."""
    done = _run(*urls, "--tick", "0.1", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["markets"][0]["index"] == "67000.1"
    assert {row["source_id"]: row["price"] for row in found["markets"][0]["prices"]} == {
        0: "67000.1",
        1: "67000.3",
        2: "66999.9",
    }
    assert "BTC/USDT: index 67000.1" in _run(*urls, "--tick", "0.1").stdout


def test_too_few_sources(urls: list[str]) -> None:
    """One venue is no index: it is shown, and the exit code is 1."""
    done = _run(*urls[-2:], "--from", "kraken", "--seconds", "1")
    assert done.exit_code == 1
    assert "BTC/USDT: index - (needs three sources)" in done.stdout
    assert "66999.9" in done.stdout


def test_synthetic_prices() -> None:
    """They need no venue."""
    done = _run("--from", "synthetic", "--market", "BTC/USDT", "--market", "ETH/USDT", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert [row["market"] for row in found["markets"]] == ["BTC/USDT", "ETH/USDT"]
    assert all(0.95 < float(row["index"]) < 1.05 for row in found["markets"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--market", "btc"], "--market takes a symbol such as BTC/USDT, not 'btc'"),
        (["--from", "binanse"], "no price source binanse"),
        (["--tick", "0.03"], "--tick takes a decimal that divides 1"),
        (["--tick", "0"], "--tick takes a decimal that divides 1"),
        (["--url", "kraken=http://x"], "--url takes a venue's name and its address"),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], text: str) -> None:
    """Exit code 2 and a sentence."""
    done = _run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert text in done.stderr
