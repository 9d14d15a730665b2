"""`rialto simulate`: a report as text and JSON, a picture, exit codes 1 and 2."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from domain import ledger
from domain.ledger import Posting
from workers.__main__ import build

SHORT = ("--steps", "40", "--accounts", "60")


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), ["simulate", *arguments])


def test_a_report_and_a_picture(tmp_path: Path) -> None:
    """Every number that is promised, the same digest again, and an SVG with four panels."""
    picture = tmp_path / "market.svg"
    done = _run("--seed", "2", *SHORT, "--json", "--plot", str(picture))
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"], found["seed"]) == (0, True, 2)
    assert [row["number"] for row in found["invariants"]] == list(range(1, 12))
    for name in (
        "fund_units",
        "haircut_units",
        "shortfall_units",
        "liquidations",
        "takeovers",
        "adl_fills",
        "funding_batches",
        "largest_mark_move_ppm_a_minute",
        "markets",
    ):
        assert name in found
    path, fund = found["fund_path"], found["fund_units"]
    assert [step for step, _ in path] == list(range(40))
    assert (path[0][1], path[-1][1]) == (fund["start"], fund["end"])
    assert (min(units for _, units in path), max(u for _, u in path)) == (fund["min"], fund["max"])
    again = _run("--seed", "2", *SHORT)
    assert again.exit_code == 0
    assert found["digest"] in again.stdout
    root = ET.parse(picture).getroot()
    lines = [node for node in root.iter() if node.tag.endswith("polyline")]
    assert len(lines) == 6
    assert all(len(line.attrib["points"].split()) >= 30 for line in lines)


def test_a_violation_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with the seed and the step that show it again."""
    real, outside = ledger.net_of, ledger.capital("USDT")

    def wrong(postings: Iterable[Posting]) -> dict[str, int]:
        net = real(postings)
        return net | {outside: net.get(outside, 0) + 1}

    monkeypatch.setattr(ledger, "net_of", wrong)
    done = _run("--seed", "3", *SHORT, "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"], found["first_violation_step"]) == (1, False, 0)
    assert "journals_balance" in {one["invariant"] for one in found["violations"]}
    assert "seed 3 shows it again" in _run("--seed", "3", *SHORT).stdout


def test_a_mass() -> None:
    """`--mass N` breaches N scopes at once."""
    done = _run("--mass", "40", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["finished"], found["left"]) == (0, 40, 0)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--engine", "abacus"), "core or reference"),
        (("--plot", "market.png"), "SVG"),
        (("--mass", "5", "--plot", "market.svg"), "--mass"),
        ((*SHORT, "--plot", "no/such/folder/market.svg"), "cannot be written"),
        (("--steps", "3"), "--steps"),
    ],
)
def test_usage(arguments: tuple[str, ...], word: str) -> None:
    """What cannot be done is said, with exit code 2."""
    done = _run(*arguments)
    assert done.exit_code == 2
    assert word in done.output
