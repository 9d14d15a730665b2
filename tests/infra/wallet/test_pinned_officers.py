"""Pinned officers: a change of the file counts at once, for whoever holds the mapping."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from domain.approval import Officer
from infra.wallet.pinned_officers import (
    Pin,
    PinnedOfficers,
    load_pins,
    pins_text,
    revoke_pin,
    rotate_pin,
)

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MARTA, PIERO = Officer("marta", "ab" * 32, 7), Officer("piero", "cd" * 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file with two pins."""
    file = tmp_path / "officers.json"
    file.write_text(pins_text({"marta": Pin(MARTA), "piero": Pin(PIERO)}))
    return file


def test_file_is_read_as_written(path: Path) -> None:
    """With the account that an officer may have here."""
    assert dict(PinnedOfficers(path)) == {"marta": MARTA, "piero": PIERO}


def test_revocation_counts_without_a_restart(path: Path) -> None:
    """The mapping that a running process holds loses him."""
    held = PinnedOfficers(path)
    assert "piero" in held
    revoke_pin(path, "piero", "me", "left", NOW)
    assert "piero" not in held
    assert list(held) == ["marta"]
    assert len(held) == 1


def test_rotation_counts_without_a_restart(path: Path) -> None:
    """The former key is no longer his, but is remembered as having been."""
    held = PinnedOfficers(path)
    assert held["marta"] == MARTA
    rotate_pin(path, "marta", "ef" * 32)
    assert held["marta"] == Officer("marta", "ef" * 32, 7)
    assert load_pins(path)["marta"].keys_ever() == ("ef" * 32, "ab" * 32)


def test_revoked_entry_survives_later_changes(path: Path) -> None:
    """History can be checked for ever."""
    revoke_pin(path, "piero", "me", "left", NOW)
    rotate_pin(path, "marta", "ef" * 32)
    revoked = load_pins(path)["piero"].revoked
    assert revoked is not None
    assert (revoked.by, revoked.reason, revoked.at) == ("me", "left", NOW.isoformat())
