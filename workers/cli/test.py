"""`rialto test`: formatting, lint, types, import rules and tests, in one verdict."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE

_ROOT = Path(__file__).resolve().parents[2]
_ONE_TEST_SECONDS = 300  # none takes half of it on a slow machine: it hangs
_ONE_LONG_TEST_SECONDS = 1_200


def register(app: typer.Typer) -> None:
    """Add `test`."""
    app.command(
        "test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
    )(run_tests)


def run_tests(
    context: typer.Context,
    quick: Annotated[
        bool, typer.Option("--quick", help="Lint, types and the tests without servers.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="The long tests too.")] = False,
) -> None:
    """Run the tests (default: under ten minutes); further arguments go to pytest."""
    if quick and everything:
        typer.echo("--quick and --all exclude each other", err=True)
        raise typer.Exit(EXIT_USAGE)
    steps = {
        "format": [sys.executable, "-m", "ruff", "format", "--check", "--quiet", "."],
        "lint": [sys.executable, "-m", "ruff", "check", "--quiet", "."],
        "types": [sys.executable, "-m", "mypy", "."],
        "tests": [*pytest_command(quick=quick, everything=everything), *context.args],
    }
    raise typer.Exit(_run(steps))


def pytest_command(*, quick: bool, everything: bool) -> list[str]:
    """Return the command line of the tests, to which pytest's own arguments may be added.

    It always ends: a test that hangs ends its process, which tells where each of its threads was;
    a process that dies is not replaced, the test that it was in is named, and the run has failed.
    """
    at_once = (os.cpu_count() or 1) + 1  # many tests wait for servers of theirs, not for a core
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(at_once), "--dist", "loadfile"]
    command += [
        "--no-loadscope-reorder"
    ]  # tests/conftest.py puts the files that last longest first
    command += ["--max-worker-restart", "0"]
    seconds = _ONE_LONG_TEST_SECONDS if everything else _ONE_TEST_SECONDS
    command += ["-o", f"faulthandler_timeout={seconds}", "-o", "faulthandler_exit_on_timeout=true"]
    if quick:
        command += ["-m", "not servers and not long"]
    elif everything:
        command += ["-m", ""]
    return command


def _run(steps: dict[str, list[str]]) -> int:
    """Run the checks beside the tests; print the checks' output when they fail."""
    started = time.monotonic()
    checks = {
        name: subprocess.Popen(  # noqa: S603 - our own command lines
            command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for name, command in steps.items()
        if name != "tests"
    }
    if not (_ROOT / ".pytest_cache").exists():
        _compile_tests(steps["tests"])
    tests = subprocess.run(steps["tests"], cwd=_ROOT, check=False)  # noqa: S603 - ditto
    codes = {"tests": tests.returncode}
    for name, process in checks.items():
        output, _ = process.communicate()
        codes[name] = process.returncode
        if process.returncode != 0:
            typer.echo(f"\n--- {name}\n{output}")
    seconds = time.monotonic() - started
    for name in steps:
        typer.echo(f"{name:8} {'ok' if codes[name] == 0 else 'FAILED'}")
    typer.echo(f"{'all ok' if not any(codes.values()) else 'FAILED'} after {seconds:.0f} s")
    return EXIT_FAILED if any(codes.values()) else 0


def _compile_tests(command: list[str]) -> None:
    """Import all tests once in a fresh clone: each of several processes would compile them all."""
    typer.echo("compiling the tests")
    once = [*command, "-n", "0", "--collect-only", "-q"]
    subprocess.run(once, cwd=_ROOT, capture_output=True, check=False)  # noqa: S603 - ditto
