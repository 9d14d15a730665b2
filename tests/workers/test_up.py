"""`rialto up` as a newcomer meets it: the screen, the lines to copy, faults, Ctrl-C, once more.

One exchange, started once for this file; the tests run in the order in which they stand.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from infra.embedded.server import die_with_parent
from tests.workers.cli.verbs import run_verb
from tests.workers.once_run import ENVIRONMENT, RIALTO, healthy, once, pid_of, sequence_of
from workers.screen import copyable

pytestmark = pytest.mark.servers

_ROOT = Path(__file__).resolve().parents[2]
_COPIED_AFTER_SECONDS = 10  # a person reads the screen before copying from it


class Running:
    """A running `rialto up` and what it printed."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.folder = folder
        script = folder / "rialto"  # as the script at the root, for the environment of the tests
        script.write_text(f'#!/bin/sh\nexec {" ".join(RIALTO)} "$@"\n')
        script.chmod(0o755)
        self.log = folder / "up.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*RIALTO, "up", "--data", str(self.data)],
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                preexec_fn=die_with_parent,
            )
        self.until(lambda: "Rialto is up" in self.printed, 180)
        self.printed_at = time.monotonic()
        self.demo: dict[str, Any] = json.loads((self.data / "demo.json").read_text())

    @property
    def printed(self) -> str:
        """Return all it printed so far."""
        return self.log.read_text()

    def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition; fail with what was printed."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.05)

    def copy(self, name: str) -> str:
        """Run one of the screen's lines as a newcomer would; return its output."""
        line = copyable(self.demo, self.data)[name]
        assert line in self.printed
        result = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            input="y\n",
        )
        assert result.returncode == 0, (line, result.stdout, result.stderr)
        return result.stdout

    def verb(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a verb on this exchange."""
        return run_verb(*arguments, "--data", str(self.data), environment=ENVIRONMENT)

    def pids(self) -> dict[str, int]:
        """Return the pids that `demo.json` names now."""
        pids: dict[str, int] = json.loads((self.data / "demo.json").read_text())["pids"]
        return pids

    def get(self, path: str) -> Any:
        """GET a public address of the API."""
        with urllib.request.urlopen(self.demo["base_url"] + path, timeout=30) as answer:
            return json.load(answer)


def _leftovers(data: Path) -> list[str]:
    """Return the processes that belong to a data folder, by command line or environment."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            words = [*(process.info["cmdline"] or []), *process.environ().values()]
        except psutil.Error:
            words = process.info["cmdline"] or []
        if process.pid != os.getpid() and any(str(data) in word for word in words):
            found.append(f"{process.pid} {process.info['cmdline']}")
    return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give an exchange that this file shares."""
    exchange = Running(tmp_path_factory.mktemp("up"))
    yield exchange
    if exchange.process.poll() is None:
        exchange.process.kill()


def test_demo_file_says_where_everything_is(running: Running) -> None:
    """`demo.json` is complete and readable by its owner only."""
    assert (running.data / "demo.json").stat().st_mode & 0o777 == 0o600
    for name in ("base_url", "ws_url", "temporal_address", "temporal_ui", "database_url"):
        assert running.demo[name]
    assert running.demo["redis_url"].startswith("redis://")
    assert running.demo["chain_url"].startswith("http://127.0.0.1:")
    assert [account["name"] for account in running.demo["accounts"]] == ["alice", "bob"]
    assert {"matching-engine-0", "gateway", "temporal-worker", "wallet-signer"} <= set(
        running.pids()
    )


def test_signers_folder_is_closed_and_under_root_its_own(running: Running) -> None:
    """Under root no other process runs as the signer's user; without root all are one user."""
    home = (running.data / "signer").stat()
    users = {name: psutil.Process(pid).uids().effective for name, pid in running.pids().items()}
    signer = users.pop("wallet-signer")
    assert (home.st_mode & 0o777, home.st_uid) == (0o700, signer)
    assert (signer in users.values()) == (os.geteuid() != 0)
    assert "sealed" in (running.data / "signer" / "seed").read_text()


def test_page_and_temporal_ui_answer(running: Running) -> None:
    """Both addresses of the screen open, the UI's after the login; nothing listens beyond here."""
    people = {"accept": "text/html"}
    for url in (running.demo["base_url"] + "/", running.demo["temporal_ui"]):
        assert url in running.printed
        request = urllib.request.Request(url, headers=people)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert b"<html" in answer.read().lower()
            assert ("/login?next=" in answer.url) == (url == running.demo["temporal_ui"])
    ours = set(running.pids().values())
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.pid in ours:
            assert connection.laddr, connection
            assert connection.laddr.ip in {"127.0.0.1", "::1"}


def test_status_is_healthy(running: Running) -> None:
    """`status --json` lists the nine components, and all processes run."""
    result = running.verb("status", "--json")
    found = json.loads(result.stdout)
    assert result.returncode == 0, found
    assert found["healthy"]
    assert len(found["components"]) == 9


def test_parked_withdrawal_of_the_demo_is_no_secret(running: Running) -> None:
    """`doctor` ends with 1 and names it, `status` and the API say attention; all else is well."""

    def bad() -> dict[str, str]:
        findings = json.loads(running.verb("doctor", "--json").stdout)
        return {found["name"]: found["found"] for found in findings if not found["ok"]}

    running.until(lambda: "1 parked" in bad().get("attention", ""), 30)
    assert list(bad()) == ["attention"]
    assert running.verb("doctor").returncode == 1
    status = running.verb("status")
    assert (status.returncode, "attention: 1 parked" in status.stdout) == (0, True)
    health = {part["name"]: part["health"] for part in running.get("/v1/system")["components"]}
    assert health["Wallet service"] == "attention"
    assert health["Settlement service"] == "ok"


def test_top_shows_market_account_components_and_work(running: Running) -> None:
    """One frame as text, without a terminal; another market by name, an unknown one refused."""
    shown = running.verb("top", "--once", "--symbol", "BTC/USDT")
    assert shown.returncode == 0, shown.stderr
    for part in ("Book BTC/USDT", "Account alice", "Settlement service", "failed:nonce", "█"):
        assert part in shown.stdout, shown.stdout
    assert "no book" not in shown.stdout
    refused = running.verb("top", "--once", "--symbol", "ETH/BTC")
    assert (refused.returncode, "no market ETH/BTC" in refused.stderr) == (2, True)


def test_second_up_is_refused(running: Running) -> None:
    """The refusal names the process that owns the folder."""
    result = running.verb("up")
    assert result.returncode == 2
    assert f"process {running.process.pid}" in result.stderr


def test_lines_can_be_copied_when_the_screen_was_read(running: Running) -> None:
    """What the screen offers works as it stands when somebody gets round to it."""
    time.sleep(max(0.0, running.printed_at + _COPIED_AFTER_SECONDS - time.monotonic()))
    ordered = json.loads(running.copy("curl"))
    assert ordered["symbol"] == "ETH/USDT"
    assert ordered["order_id"]
    assert running.copy("order")
    assert running.copy("approve")
    assert running.copy("retry")
    assert running.copy("status")
    assert running.copy("verify")


def test_a_liquidation_can_be_followed_to_its_record(running: Running) -> None:
    """Somebody is liquidated, in the book and by deleveraging; workflow, page and record tell."""

    def told(symbol: str) -> set[str]:
        rows = running.get(f"/v1/liquidations?symbol={symbol}")["liquidations"]
        return {row["how"] for row in rows}

    def stories() -> str:
        ended = json.loads(running.verb("liquidation", "list", "--ended", "--json").stdout)
        told = [running.verb("audit", "liquidation", row["liquidation_id"]) for row in ended[:6]]
        assert all(one.returncode == 0 for one in told), told
        return "\n".join(one.stdout for one in told)

    def is_recorded() -> bool:
        parts = ("released at", "closed in the book", "against account", "before", "book", "ranks")
        found = stories()
        return all(part in found for part in parts)

    running.until(lambda: "book" in told("ETH-USDT-PERP"), 90)
    running.until(lambda: "deleveraged" in told("BTC-USDT-PERP"), 90)
    running.until(is_recorded, 60)
    listed = _temporal(
        running.demo, "list", "--query", "WorkflowType='LiquidationWorkflow'", "--output", "json"
    )
    assert {run["status"] for run in json.loads(listed)} >= {"WORKFLOW_EXECUTION_STATUS_COMPLETED"}


@pytest.mark.parametrize(
    "name",
    ["matching-engine-0", "gateway", "temporal-worker", "valkey", "risk-monitor-0"],
)
def test_killed_process_comes_back(running: Running, name: str) -> None:
    """After kill -9 the supervisor starts it again, and the API serves."""
    before = running.pids()[name]
    os.kill(before, signal.SIGKILL)
    running.until(lambda: f"{name} is back" in running.printed, 30)
    running.until(lambda: running.pids()[name] != before, 30)
    running.until(lambda: running.verb("status").returncode == 0, 30)
    assert running.get("/v1/markets/ETH-USDT/book")["bids"]


def test_ctrl_c_leaves_nothing_running(running: Running) -> None:
    """SIGINT ends the exchange with code 0 and takes all its processes along."""
    assert _leftovers(running.data)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(60) == 0, running.printed
    assert _leftovers(running.data) == []
    assert not (running.data / "demo.json").exists()
    result = running.verb("status")
    assert (result.returncode, "`./rialto up`" in result.stderr) == (3, True)


def test_once_holds_under_fire(running: Running) -> None:
    """On the same books, grown to two shards, with kills and staff at the wrong buttons: it holds.

    One engine is killed and the other trades on; then this, worker, signer and monitor are killed,
    Redis is erased, settlement is terminated, and a withdrawal that was paid long ago is reset to
    its start. Nothing is lost or doubled.
    """
    process, log = once(running.folder, "--shards", "2", "--seconds", "12")
    demo = healthy(process, running.folder, log)
    _until_it_trades(running.folder, 1)
    os.kill(pid_of(running.folder, "matching-engine-1"), signal.SIGKILL)
    _until_it_trades(running.folder, 0)
    _fire(demo, running.demo["withdrawals"]["parked"])
    assert process.wait(240) == 0, log.read_text()
    report = json.loads((running.folder / "report.json").read_text())
    assert [shard["shard"] for shard in report["shards"]] == [0, 1]
    for shard in report["shards"]:
        assert shard["trades"] == shard["settled_trades"] > 0, shard
    assert report["problems"] == []
    assert report["violations"] == []
    assert report["orders"] > 0
    assert report["trades"] == report["settled_trades"] > 0
    assert report["order_history_behind"] == 0
    assert report["deposits_credited"] > 0
    assert report["withdrawals_settled"] > 0
    assert report["approved_by_officer"]
    assert (report["engine"], report["loop"]) == ("core", "native")
    assert report["healthy_seconds"] > 0
    assert {"rialto", "python", "postgres", "temporal"} <= report["versions"].keys()
    for invariant in report["invariants"]:
        assert (invariant["ok"], invariant["rows"] > 0) == (True, True), invariant
    for shard in (0, 1):
        assert f"matching-engine-{shard} died (code -9)" in log.read_text()
    assert _leftovers(running.data) == []
    refused = running.verb("up", "--once", "--shards", "1")
    assert (refused.returncode, "has 2 shards" in refused.stderr) == (2, True)


def _until_it_trades(folder: Path, shard: int) -> None:
    """Wait until a shard's engine has run some commands more than now."""
    wanted = sequence_of(folder, shard) + 20
    deadline = time.monotonic() + 30
    while sequence_of(folder, shard) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _fire(demo: dict[str, Any], paid: str) -> None:
    """Kill, erase, terminate and reset; `paid` is a withdrawal that is settled."""
    for name in ("matching-engine-0", "temporal-worker", "wallet-signer", "risk-monitor-0"):
        os.kill(demo["pids"][name], signal.SIGKILL)
    with redis.Redis.from_url(demo["redis_url"]) as client:
        client.flushall()
    for words in (
        ["terminate", "-w", "settlement-0"],
        ["reset", "-w", f"withdrawal-{paid}", "--type", "FirstWorkflowTask"],
    ):
        _temporal(demo, *words, "--reason", "a test")


def _temporal(demo: dict[str, Any], *words: str) -> str:
    """Run `temporal workflow ...` on the exchange's own server; return its output."""
    where = ["--address", demo["temporal_address"], "--namespace", "rialto"]
    temporal = Path(sys.executable).with_name("temporal")
    result = subprocess.run(
        [temporal, "workflow", *words, *where],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_reset_forgets_all(running: Running) -> None:
    """`reset --yes` deletes the folder, and only a data folder."""
    refused = subprocess.run(
        [*RIALTO, "reset", "--yes", "--data", str(running.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (refused.returncode, running.data.exists()) == (2, True)
    assert running.verb("reset", "--yes").returncode == 0
    assert not running.data.exists()
    assert re.search(r"nothing in", running.verb("reset", "--yes").stdout)
