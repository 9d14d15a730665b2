"""Holds a shard's whole journal against the invariants of perpetuals, command by command.

A second engine makes the events anew; those that concern perpetuals or their collateral are read.
Where the journal's beginning is no longer kept, it starts at the oldest snapshot that it follows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from domain.checker_report import CheckReport, Findings
from domain.event_type import EventType
from domain.fee_book import FeeBook
from domain.risk_invariants import RiskInvariants
from matching.codec import by_command, decode_only
from matching.replay import events_again
from matching.segments import JournalError
from matching.storage import FileStorage
from workers.risk_rebuild import picture_of_engine

READABLE = "engine_journal_readable"
_LAST_OF_SPOT = 39
_OF_RISK = sorted(
    {
        EventType.TRADE,
        EventType.CREDITED,
        EventType.DEBITED,
        EventType.SYMBOL_LISTED,
        EventType.PARAMETERS_SET,
        EventType.ACCOUNT_TIER_SET,
        EventType.STARTED,
        *(kind for kind in EventType if kind > _LAST_OF_SPOT),
    }
)


def risk_report(folder: Path, shard: int, until: int) -> CheckReport:
    """Return what `check_risk` found; a journal that cannot be read is named like any violation."""
    for attempt in range(2):
        findings = Findings()
        try:
            check_risk(folder, shard, until, findings)
        except FileNotFoundError as error:  # retention took a file away under our eyes
            if attempt:
                findings.expect(READABLE, False, f"shard {shard}: {error}", sequence=until)
                return findings.report()
        except JournalError as error:
            findings.expect(READABLE, False, f"shard {shard}: {error}", sequence=until)
            return findings.report()
        else:
            return findings.report()
    raise AssertionError


def check_risk(folder: Path, shard: int, until: int, findings: Findings) -> int:
    """Check a shard folder up to a sequence, with the findings; return how many commands it met.

    Reads only; the folder may be that of a running engine. Blocks for as long as a replay takes.
    """
    storage = FileStorage(folder, read_only=True)
    invariants: RiskInvariants | None = None
    commands = 0
    try:
        for engine, data in events_again(storage, shard, until):
            if invariants is None:
                picture = picture_of_engine(engine)
                invariants = RiskInvariants(picture, findings, engine.dust(), fees_of(engine))
            commands += _read(invariants, data)
    finally:
        storage.close()
    return commands


def fees_of(engine: Any) -> FeeBook:
    """Return the rates and tiers that an engine has."""
    rates = {market.rules.symbol_id: market.rules.fees for market in engine.markets()}
    return FeeBook(rates, engine.tiers())


def _read(invariants: RiskInvariants, data: bytes) -> int:
    """Hold the commands of a run of events against the rules; return how many concern them."""
    commands = 0
    for events in by_command(decode_only(data, _OF_RISK)):
        invariants.command(events)
        commands += 1
    return commands
