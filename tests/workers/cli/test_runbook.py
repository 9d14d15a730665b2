"""The runbook of a parked settlement, done line by line on a running exchange."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from domain.commands import Credit
from domain.events import Credited
from infra.settings import Settings
from workers import engine_admin
from workers.cli.context import environment
from workers.data_folder import read_json

pytestmark = [pytest.mark.servers, pytest.mark.long]

_RIALTO = [sys.executable, "-P", "-m", "workers"]
_ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("RIALTO_") or name in {"RIALTO_CACHE", "RIALTO_ANVIL"}
}


class Running:
    """A `rialto up` without bots, and its verbs."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        log = folder / "up.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*_RIALTO, "up", "--no-bots", "--data", str(self.data)],
                stdout=output,
                stderr=output,
                env=_ENVIRONMENT,
            )
        self.until(lambda: bool(read_json(self.data / "demo.json")), 240)

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for a condition while the exchange runs."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def verb(self, *words: str, code: int = 0) -> str:
        """Run a verb and return what it printed; its exit code must be `code`."""
        command = [*_RIALTO, *words, "--data", str(self.data)]
        done = subprocess.run(
            command, env=_ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def stage(self) -> str:
        """Return the stage of settlement, as search shows it."""
        query = ("--query", "WorkflowId = 'settlement-0'")
        (work,) = json.loads(self.verb("ops", "list", *query, "--json"))
        return str(work["stage"])

    def alarms(self) -> set[str]:
        """Return the kinds of the open alarms."""
        command = [*_RIALTO, "alarms", "--json", "--data", str(self.data)]
        done = subprocess.run(
            command, env=_ENVIRONMENT, capture_output=True, text=True, check=False
        )
        return {alarm["kind"] for alarm in json.loads(done.stdout)}


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Running]:
    """Give a running exchange."""
    running = Running(tmp_path)
    yield running
    running.process.send_signal(signal.SIGINT)
    running.process.wait(60)


async def _credit_out_of_nowhere(data: Path) -> str:
    """Credit a customer in the engine without a row or money behind it; return the event's name."""
    treasury = engine_admin.connect(Settings.of(environment(data)), "treasury")
    now_us = time.time_ns() // 1_000
    outcome: Any = (await treasury.submit(Credit(uuid4().int, 1, 1, 70_000_000, now_us)))[0]
    await treasury.close()
    assert isinstance(outcome, Credited)
    return f"0:{outcome.sequence}.{outcome.index}"


def test_settlement_parks_is_corrected_and_goes_on(exchange: Running) -> None:
    """Seen as an alarm and a stage; the shard is halted; two people's entry lets it go on."""
    event = asyncio.run(_credit_out_of_nowhere(exchange.data))
    exchange.until(lambda: exchange.stage() == "failed:settle")
    exchange.until(lambda: {"parked", "engine_halted"} <= exchange.alarms())
    order = ("order", "buy", "ETH/USDT", "0.1", "--limit", "2000", "--account", "alice")
    assert "halted" in exchange.verb(*order, "--json", code=1)
    assert "0 violations" in exchange.verb("verify")  # what is in the ledger already is whole
    exchange.verb("ops", "retry", "settlement-0", "--reason", "hoping")
    time.sleep(2)
    assert exchange.stage() == "failed:settle"

    proposal = exchange.verb(
        *("adjust", "propose", "--event", event, "--from", "capital:USDT"),
        *("--to", "transit.0:USDT", "--asset", "USDT", "--amount", "70"),
        *("--reason", "a credit without its row", "--json"),
    )
    name = json.loads(proposal)["adjustment_id"]
    for officer in ("marta", "piero"):
        exchange.verb("adjust", "sign", name, "--officer", officer, "--yes")
    exchange.until(lambda: exchange.stage() == "settling")
    exchange.verb("resume", "--reason", "corrected")
    exchange.until(lambda: "engine_halted" not in exchange.alarms())
    exchange.verb(*order, "--json")
    exchange.until(lambda: "0 violations" in exchange.verb("verify"))
