"""The drills, for seconds instead of minutes: a whole exchange, faults, and its books."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from workers.__main__ import build

pytestmark = pytest.mark.servers

_RIALTO = [sys.executable, "-P", "-m", "workers"]


def _drill(*words: str) -> dict[str, Any]:
    """Run a drill as a person would; return its figures when it is content."""
    done = subprocess.run(
        [*_RIALTO, "chaos", *words, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, "RIALTO_LOG_LEVEL": "DEBUG"},  # what surrounds it does not count
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["problems"], found["violations"]) == ([], [])
    return found


@pytest.mark.long
def test_trading_goes_on_without_temporal() -> None:
    """Away for twelve seconds: orders are taken all the while, then settlement catches up.

    The step that runs when the server goes settles on for up to five of them.
    """
    found = _drill("temporal", "--minutes", "0.2", "--rate", "100")
    assert found["away_refused"] == {}
    assert found["away_trades"] > 100
    assert found["lag_most"] > found["away_trades"] / 4
    assert found["caught_up_seconds"] is not None


@pytest.mark.long
def test_beyond_the_bound_orders_are_refused_and_the_drill_says_so() -> None:
    """The named setting is what makes the shard take cancels only."""
    done = subprocess.run(
        [
            *(*_RIALTO, "chaos", "temporal", "--minutes", "0.2", "--rate", "100"),
            *("--lag-bound", "300", "--json"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert "SHARD_CANCEL_ONLY" in found["away_refused"]
    assert any("refused" in problem for problem in found["problems"])
    assert (found["violations"], found["mode"]) == ([], "normal")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.long
def test_anything_may_be_killed_at_any_moment(seed: int) -> None:
    """Worker, servers, engine, readers, two at once, Redis emptied: nothing lost or twice."""
    found = _drill("kill", "--minutes", "2", "--rate", "200", "--seed", str(seed))
    assert found["settled_trades"] > 0
    assert found["kills"] >= 10


@pytest.mark.long
def test_the_worker_and_its_servers_are_killed_once_each() -> None:
    """The short form of it: the settlement's own process, and the two servers it needs."""
    found = _drill(
        *("kill", "--minutes", "0.2", "--rate", "100"),
        *("--victims", "temporal-worker,postgres,temporal"),
    )
    assert found["settled_trades"] > 0
    assert found["kills"] >= 2


@pytest.mark.long
def test_withdrawals_end_once_whatever_dies_and_lies() -> None:
    """Worker, signer, engine, gateway die, the node lies, customers cancel; no secret leaks."""
    found = _drill("withdrawals", "--count", "8", "--seed", "3")
    assert sum(found["final"].values()) == 8
    assert found["double_sent"] == 0
    assert found["kills"] >= 4


@pytest.mark.long
def test_books_are_right_whatever_breaks() -> None:
    """Lines are cut, half-open and slow, a gateway and the publisher die: never a wrong book."""
    done = subprocess.run(
        [*_RIALTO, "chaos", "books", "--minutes", "0.5", "--seed", "2", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["divergences"], found["problems"]) == (0, [])
    assert found["checksums"] > 100
    assert sum(found["faults"].values()) >= 5


@pytest.mark.parametrize(
    "words", [["kill", "--victims", "valkey,mallory"], ["books", "--faults", "cut,mallory"]]
)
def test_unknown_victims_and_faults_are_refused(words: list[str]) -> None:
    """Before anything is started."""
    result = CliRunner().invoke(build(), ["chaos", *words])
    assert result.exit_code == 2
    assert "mallory" in result.output
