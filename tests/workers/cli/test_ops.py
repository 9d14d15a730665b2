"""The staff verbs' own rules: usage, and an exchange that does not run."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from workers.cli import audit, ops
from workers.cli.context import EXIT_NOT_RUNNING, EXIT_USAGE


@pytest.fixture
def app() -> typer.Typer:
    """Give a command line with these verbs only."""
    made = typer.Typer()
    ops.register(made)
    audit.register(made)
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        ["ops", "list"],
        ["ops", "retry", "some-id"],
        ["approve", "some-id", "--officer", "marta"],
        ["reject", "some-id", "--officer", "marta"],
        ["void", "some-id", "--officer", "marta"],
        ["faucet", "hot", "ETH", "1"],
    ],
)
def test_verbs_say_that_no_exchange_runs(
    app: typer.Typer, tmp_path: Path, arguments: list[str]
) -> None:
    """Exit code 3, and the words say how to start one."""
    result = CliRunner().invoke(app, [*arguments, "--data", str(tmp_path)])
    assert result.exit_code == EXIT_NOT_RUNNING
    assert "rialto up" in result.output


def test_audit_of_an_id_says_what_to_type(app: typer.Typer) -> None:
    """The id is taken over into the right line."""
    result = CliRunner().invoke(app, ["audit", "some-id"])
    assert result.exit_code == EXIT_USAGE
    assert "rialto audit withdrawal some-id" in " ".join(result.output.split())


@pytest.mark.parametrize("arguments", [[], ["some-id", "--query", "parked"]])
def test_retry_takes_either_an_id_or_a_query(app: typer.Typer, arguments: list[str]) -> None:
    """Neither and both are usage errors."""
    result = CliRunner().invoke(app, ["ops", "retry", *arguments])
    assert result.exit_code == EXIT_USAGE


@pytest.mark.parametrize("verb", ["approve", "reject", "void"])
def test_decision_without_a_terminal_names_its_officer(app: typer.Typer, verb: str) -> None:
    """A script must not sign with somebody's key just because nobody was named."""
    result = CliRunner().invoke(app, [verb, "some-id"])
    assert result.exit_code == EXIT_USAGE
    assert "--officer" in result.output


@pytest.mark.parametrize(
    "verb",
    ["ops", "ops list", "ops retry", "approve", "reject", "void", "faucet", "audit withdrawal"],
)
def test_every_verb_explains_itself(app: typer.Typer, verb: str) -> None:
    """`--help` works everywhere."""
    assert CliRunner().invoke(app, [*verb.split(), "--help"]).exit_code == 0
