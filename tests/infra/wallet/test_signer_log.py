"""The signer's own log: chained, and whole again after a crash."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path

import pytest

from infra.wallet.signer_log import SignerLog, log_fault

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def _written(path: Path, count: int = 4) -> SignerLog:
    for number in range(count):
        SignerLog(path).append(NOW, "refused", {"number": str(number)})
    return SignerLog(path)


def test_log_is_private_and_good(tmp_path: Path) -> None:
    """Every appender goes on where the last one ended."""
    records = _written(tmp_path / "log").records()
    assert [record["detail"]["number"] for record in records] == ["0", "1", "2", "3"]
    assert log_fault(records) is None
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_changed_record_is_named(tmp_path: Path, number: int) -> None:
    """Whoever changes one breaks it, and those that follow."""
    records = _written(tmp_path / "log").records()
    records[number - 1]["detail"]["number"] = "9"
    assert log_fault(records) == number


def test_dropped_record_is_named(tmp_path: Path) -> None:
    """A gap shows at the record after it."""
    records = _written(tmp_path / "log").records()
    del records[1]
    assert log_fault(records) == 2


def test_torn_line_is_dropped_by_the_next(tmp_path: Path) -> None:
    """A crash while writing leaves a log that goes on."""
    path = tmp_path / "log"
    log = _written(path, 2)
    with path.open("a") as file:
        file.write('{"at": "2026')
    assert len(log.records()) == 2
    log.append(NOW, "refused", {"number": "2"})
    assert log_fault(log.records()) is None
    assert len(log.records()) == 3


def test_long_text_is_cut(tmp_path: Path) -> None:
    """A hostile order cannot fill the disk with one line."""
    log = SignerLog(tmp_path / "log")
    log.append(NOW, "refused", {"text": "x" * 10**6})
    log.append(NOW, "refused", {"text": "y"})
    assert len(log.records()[0]["detail"]["text"]) == 2_000
    assert log_fault(log.records()) is None


def test_value_that_is_never_written_is_named(tmp_path: Path) -> None:
    """Not a crash of whoever looks."""
    records = _written(tmp_path / "log").records()
    records[2]["detail"]["number"] = 0.5
    assert log_fault(records) == 3


def test_hostile_text_leaves_a_log_that_goes_on(tmp_path: Path) -> None:
    """The longest line that can be written is found again from the end."""
    log = SignerLog(tmp_path / "log")
    hostile = dict.fromkeys(("withdrawal", "reason", "detail", "order"), "💰" * 3000)
    log.append(NOW, "refused", hostile)
    log.append(NOW, "refused", hostile)
    assert log_fault(log.records()) is None
    assert len(log.records()) == 2
