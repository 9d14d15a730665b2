"""`rialto status`, `logs`, `reset`, `version`: what runs, what it says, forgetting it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from workers.cli.context import (
    EXIT_FAILED,
    EXIT_NOT_RUNNING,
    EXIT_USAGE,
    DataOption,
    JsonOption,
    data_dir,
    environment,
)
from workers.data_folder import read_json, supervisor_pid

_SILENT_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.command("status")(status)
    app.command("logs")(logs)
    app.command("reset")(reset)
    app.command("version")(version)


def status(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show the nine components and the processes that host them."""
    folder = data_dir(data)
    pid = supervisor_pid(folder)
    if pid is None:
        if as_json:
            typer.echo(json.dumps({"running": False, "data": str(folder)}))
        else:
            typer.echo(f"No exchange runs in {folder}. `./rialto up` starts it.", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING)
    found = exchange_state(folder, pid)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        _print_status(found)
    if not found["healthy"]:
        raise typer.Exit(EXIT_FAILED)


def exchange_state(folder: Path, pid: int) -> dict[str, Any]:
    """Return what `rialto status --json` prints about the running exchange."""
    from infra.embedded.temporal import http_json

    state = read_json(folder / "run" / "supervisor.json")
    page = environment(folder).get("RIALTO_GATEWAY_PUBLIC_URL", "")
    gateways = gateway_addresses(folder)
    asked = (http_json(f"{url}/v1/system") for url in dict.fromkeys([page, *gateways]) if url)
    system = next((answer for answer in asked if answer is not None), None)
    now = time.time()
    children = state.get("children")
    processes = []
    for child in children if isinstance(children, list) else []:
        beat = read_json(folder / "run" / f"{child['name']}.json")
        updated = beat.get("updated_at")
        silent = now - updated > _SILENT_SECONDS if isinstance(updated, float) else False
        processes.append(
            {
                **child,
                "state": "silent" if silent and child["state"] == "running" else child["state"],
                "sequence": beat.get("sequence"),
                "lag": beat.get("lag"),
            }
        )
    up = all(process["state"] == "running" for process in processes) and bool(processes)
    return {
        "running": True,
        "healthy": up and system is not None,
        "pid": pid,
        "data": str(folder),
        "page": page,
        "gateways": gateways,
        "temporal_ui": environment(folder).get("RIALTO_TEMPORAL_UI_URL", ""),
        "attention": _attention(system or {}),
        "asked": asked_of(folder),
        "shards": (system or {}).get("shards") or shards_of(folder),
        "components": (system or {}).get("components", []),
        "limits": (system or {}).get("limits", {}),
        "processes": processes,
    }


def gateway_addresses(folder: Path) -> list[str]:
    """Return the address of each gateway, the first one first."""
    from workers.stack import gateway_urls

    count = int(environment(folder).get("RIALTO_GATEWAY_COUNT", "1"))
    return gateway_urls(read_json(folder / "run" / "ports.json"), count)


def shards_of(folder: Path) -> list[dict[str, Any]]:
    """Return the engines' own word on their modes, while the gateway does not answer."""
    found: list[dict[str, Any]] = []
    for path in sorted((folder / "run").glob("matching-engine-*.json")):
        detail = read_json(path).get("detail")
        if isinstance(detail, dict):
            found.append({"shard": int(path.stem.rpartition("-")[2]), **detail})
    return found


def asked_of(folder: Path) -> dict[str, str]:
    """Return who answers which question about payments, as the process that asks says it."""
    detail = read_json(folder / "run" / "temporal-worker.json").get("detail")
    asked = detail.get("asked") if isinstance(detail, dict) else None
    return asked if isinstance(asked, dict) else {}


def _attention(system: dict[str, Any]) -> list[str]:
    """Return what needs people, each reason once."""
    wanting = [part for part in system.get("components", []) if part["health"] == "attention"]
    return list(dict.fromkeys(str(part["note"]) for part in wanting))


def _print_status(found: dict[str, Any]) -> None:
    typer.echo(f"{found['page']}  (process {found['pid']}, data in {found['data']})")
    if len(found["gateways"]) > 1:
        typer.echo(f"gateways: {', '.join(found['gateways'])}")
    if found["components"]:
        typer.echo(f"\n{'component':22} {'health':14} {'sequence':>12} {'lag':>6}  process")
    for component in found["components"]:
        typer.echo(
            f"{component['name']:22} {component['health']:14} "
            f"{_text(component['sequence']):>12} {_text(component['lag']):>6}  "
            f"{component['process']}"
        )
    for shard in found["shards"]:
        if shard["mode"] not in ("normal", None):
            typer.echo(f"shard {shard['shard']} is {shard['mode']}: {shard['reason']}")
        for market in shard["closed_markets"]:
            name = market.get("symbol", f"market {market.get('symbol_id')}")
            typer.echo(f"{name} is {market['state']}: {market['reason']}")
    for reason in found["attention"]:
        typer.echo(f"attention: {reason}")
    for question, who in found["asked"].items():
        typer.echo(f"{question} is asked of: {who}")
    if not found["components"]:
        typer.echo("\nthe gateway does not answer; the processes:")
    typer.echo(f"\n{'process':22} {'state':14} {'pid':>12} {'restarts':>9}")
    for process in found["processes"]:
        typer.echo(
            f"{process['name']:22} {process['state']:14} {process['pid']:>12} "
            f"{process['restarts']:>9}  {process.get('note', '')}".rstrip()
        )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def logs(
    process: Annotated[str | None, typer.Argument(help="Which; without it, the list.")] = None,
    data: DataOption = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
) -> None:
    """Show the log of one process or server."""
    folder = data_dir(data) / "logs"
    names = sorted(path.stem for path in folder.glob("*.log"))
    if process is None or process not in names:
        if process is not None:
            typer.echo(f"There is no log of {process!r} in {folder}.", err=True)
        typer.echo("\n".join(names) if names else f"There are no logs in {folder} yet.")
        raise typer.Exit(EXIT_USAGE if process is not None else 0)
    with (folder / f"{process}.log").open(errors="replace") as file:
        for line in file.readlines()[-lines:]:
            typer.echo(line, nl=False)
        while follow:
            if line := file.readline():
                typer.echo(line, nl=False)
            else:
                time.sleep(0.2)


def reset(
    data: DataOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete the data folder: books, journal, chain, keys."""
    folder = data_dir(data)
    if not folder.exists():
        typer.echo(f"There is nothing in {folder}.")
        return
    if (pid := supervisor_pid(folder)) is not None:
        typer.echo(f"The exchange in {folder} runs (process {pid}). Stop it first.", err=True)
        raise typer.Exit(EXIT_USAGE)
    if not (folder / "run").is_dir() or not (folder / "secrets").is_dir():
        typer.echo(f"{folder} is not a data folder of Rialto; nothing was deleted.", err=True)
        raise typer.Exit(EXIT_USAGE)
    if not yes and not typer.confirm(f"Delete {folder} with all its money and keys?"):
        raise typer.Exit(EXIT_FAILED)
    try:
        shutil.rmtree(folder)
    except PermissionError as error:
        typer.echo(
            f"Cannot delete {error.filename}: it belongs to another user. Use that user or root.",
            err=True,
        )
        raise typer.Exit(EXIT_FAILED) from error
    typer.echo(f"Deleted {folder}.")


def version(as_json: JsonOption = False) -> None:
    """Show the versions of Rialto and of what it runs on."""
    from workers.versions import versions

    found = versions()
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        for name, text in found.items():
            typer.echo(f"{name:12} {text}")
