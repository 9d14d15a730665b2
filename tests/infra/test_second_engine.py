"""An engine rebuilt from its files: at a sequence, at its end, or not at all, and why not."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest

from domain.checker import Checker
from domain.checker_records import Assets
from domain.commands import Credit
from infra.second_engine import SecondEngines
from matching.codec import encode_command
from matching.segments import JournalError
from matching.sequencer import Sequencer
from matching.storage import FileStorage
from tests.matching.desk import LISTING

COMMANDS = 50


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a journal of so many credits."""
    now_us = time.time_ns() // 1000
    sequencer = Sequencer(
        FileStorage(tmp_path),
        0,
        lambda: now_us,
        fresh_journal_id=secrets.token_bytes(16),
        build_id=1,
        ack_policy="os",
    )
    sequencer.submit(encode_command(LISTING))
    for number in range(1, COMMANDS + 1):
        sequencer.submit(encode_command(Credit(number, 1, 1, 10, now_us)))
    sequencer.sync()
    return tmp_path


def _flip_a_byte(folder: Path, part: float) -> None:
    (segment,) = folder.glob("journal/*.seg")
    data = bytearray(segment.read_bytes())
    data[int(len(data.rstrip(b"\0")) * part)] ^= 1
    segment.write_bytes(data)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.7, 0.95])  # what follows the header is padding
async def test_a_flipped_byte_is_named(folder: Path, part: float) -> None:
    """Either why the journal cannot be read, or that it ends before what the ledger has settled."""
    whole = await SecondEngines(lambda _: folder).at(0, COMMANDS)
    assert (whole.fault, whole.sequence) == ("", COMMANDS)
    _flip_a_byte(folder, part)
    found = await SecondEngines(lambda _: folder, names_faults=True).at(0, COMMANDS)
    checker = Checker(Assets({}))
    checker.cursor(0, COMMANDS)
    checker.engine(found, COMMANDS)
    named = {violation.invariant for violation in checker.report().violations}
    assert named & {"engine_journal_readable", "cursor_follows_journal"}
    if found.fault:
        with pytest.raises(JournalError):
            await SecondEngines(lambda _: folder).at(0, COMMANDS)


async def test_a_journal_that_ends_too_early_says_where(folder: Path) -> None:
    """The checker then names a ledger that knows more than the engine."""
    found = await SecondEngines(lambda _: folder).at(0, 10_000)
    assert (found.fault, found.sequence >= COMMANDS) == ("", True)
