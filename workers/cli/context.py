"""How a verb finds the exchange that runs in a data folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.data_folder import read_json, supervisor_pid

if TYPE_CHECKING:
    from infra.settings import Settings

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_RUNNING = 3

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder of the exchange.", show_default="the user's own"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def data_dir(data: Path | None) -> Path:
    """Return the data folder: the option, RIALTO_DATA, or the user's data directory."""
    if data is not None:
        return data.expanduser().absolute()
    if override := os.environ.get("RIALTO_DATA"):
        return Path(override).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "rialto"


@dataclass(frozen=True)
class RunningExchange:
    """A running exchange: where its data is and what `demo.json` says about it."""

    data_dir: Path
    demo: dict[str, Any]

    @cached_property
    def settings(self) -> Settings:
        """Return the settings that its processes run with."""
        from infra.settings import Settings

        return Settings.of(environment(self.data_dir))

    def account(self, name: str) -> dict[str, str]:
        """Return the demo account `name`; an unknown one ends the verb as a usage error."""
        for found in self.demo["accounts"]:
            if found["name"] == name:
                return dict(found)
        names = ", ".join(found["name"] for found in self.demo["accounts"])
        typer.echo(f"no demo account {name!r}; there are: {names}", err=True)
        raise typer.Exit(EXIT_USAGE)


def environment(folder: Path) -> dict[str, str]:
    """Return the environment (`RIALTO_...`) of the processes of a data folder; {} if none ran."""
    found = read_json(folder / "run" / "env.json")
    return {key: str(value) for key, value in found.items()}


def load(data: Path | None) -> RunningExchange:
    """Return the running exchange, or end the verb with a clear message."""
    folder = data_dir(data)
    demo = read_json(folder / "demo.json")
    if not demo or supervisor_pid(folder) is None:
        starting = supervisor_pid(folder) is not None
        state = (
            "is still starting: try again when `rialto up` shows its screen."
            if starting
            else "does not run. Start it with `./rialto up`, or name its folder with --data."
        )
        typer.echo(f"The exchange in {folder} {state}", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING)
    return RunningExchange(folder, demo)
