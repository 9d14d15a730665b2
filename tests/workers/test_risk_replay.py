"""The journal of a shard held against the invariants, as `rialto verify` does it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.checker_report import Findings
from domain.commands import SetShardMode
from domain.events import Deleveraged
from domain.order import ShardMode, StateCause
from infra.second_engine import ruined_scopes
from matching import snapshot
from matching.codec import decode_only
from matching.journal_scan import JournalScan
from matching.replay import events_again
from matching.storage import FileStorage
from tests.matching.liquidation_desk import Liquidation
from workers import risk_replay
from workers.risk_replay import check_risk, risk_report
from workers.simulation.run import Plan, Simulation


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return a shard folder with a market's history: trades, funding, liquidations, a crash."""
    simulation = Simulation(Plan(3, 60, accounts=60, sweep_every=60), tmp_path)
    report = await simulation.run(lambda _: None)
    assert report["ok"]
    assert report["adl_fills"] > 0
    return tmp_path


async def test_a_whole_journal_holds(folder: Path) -> None:
    """Every rule of the events looks at something; up to any sequence."""
    findings = Findings()
    assert check_risk(folder, 0, 10**9, findings) > 100
    report = findings.report()
    assert report.violations == ()
    names = {result.name for result in report.invariants}
    assert {
        "deleveraging_closes_opposites",
        "haircut_within_shortfall",
        "liquidation_step_harms_nobody",
        "funding_sums_to_zero",
    } <= names
    part = Findings()
    assert 0 < check_risk(folder, 0, 500, part) <= 500
    assert part.report().ok


async def test_it_goes_on_from_a_snapshot(folder: Path) -> None:
    """Where the journal's beginning is gone, the oldest snapshot is where it begins."""
    commands = check_risk(folder, 0, 10**9, Findings())
    first, *others = sorted((folder / "journal").iterdir())
    data = first.read_bytes()
    storage = FileStorage(folder)
    kept = snapshot.snapshots(storage)[-1]
    found = list(events_again(storage, 0, kept.sequence))[-1][0]
    assert found.sequence == kept.sequence
    rest = Findings()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JournalScan, "oldest_sequence", kept.sequence + 1)
        assert 0 < check_risk(folder, 0, 10**9, rest) < commands
    assert rest.report().violations == ()
    assert not others
    assert first.read_bytes() == data
    storage.close()


async def test_an_event_that_another_build_would_make_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A haircut that is a unit beyond its shortfall is found by the replay, with its sequence."""

    def wrong(data: bytes, kinds: Any) -> list[Any]:
        events = decode_only(data, kinds)
        for place, event in enumerate(events):
            if isinstance(event, Deleveraged):
                events[place] = replace(event, haircut_units=event.haircut_units + 10)
        return events

    monkeypatch.setattr(risk_replay, "decode_only", wrong)
    findings = Findings()
    check_risk(folder, 0, 10**9, findings)
    found = {violation.invariant for violation in findings.report().violations}
    assert found == {"haircut_within_shortfall", "events_equal_formulas"}


def test_who_is_ruined_and_free_is_seen() -> None:
    """Below 0 at a fresh mark: by scope, until it is frozen; nobody at a stale one."""
    desk = Liquidation()
    desk.fund(5, units=50_000)
    desk.leverage(5, 20)
    desk.pair(5, 2, 99)
    assert ruined_scopes(desk.engine) == {}
    desk.move(930)
    assert list(ruined_scopes(desk.engine)) == [(5, 0)]
    desk.run(SetShardMode(ShardMode.HALTED, StateCause.OPERATOR, "ada", "a drill"))
    assert ruined_scopes(desk.engine) == {}
    desk.run(SetShardMode(ShardMode.NORMAL, StateCause.OPERATOR, "ada", "over"))
    assert list(ruined_scopes(desk.engine)) == [(5, 0)]
    desk.freeze()
    assert ruined_scopes(desk.engine) == {}


async def test_a_journal_that_cannot_be_read_is_named(folder: Path) -> None:
    """As one violation with the fault's name; a whole one has none."""
    assert risk_report(folder, 0, 10**9).ok
    (name,) = (folder / "journal").iterdir()
    data = bytearray(name.read_bytes())
    data[5_000] ^= 1
    name.write_bytes(data)
    report = risk_report(folder, 0, 10**9)
    assert [one.invariant for one in report.violations] == ["engine_journal_readable"]
    assert "CORRUPT_BLOCK" in report.violations[0].text
