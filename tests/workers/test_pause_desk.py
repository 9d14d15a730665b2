"""The pause at the desk where the signer's file and the row do not say the same."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from domain.payment_pause import PaymentPause
from infra.settings import Settings
from infra.wallet import officers
from infra.wallet.pause_file import pause_path, pause_refusal
from infra.wallet.pinned_officers import PinnedOfficers, revoke_pin
from workers import pause_desk as desk
from workers.officer_desk import DeskError

ENGINE = cast("Any", None)


@dataclass
class Rows:
    """The row of one pause, and the server that has it."""

    is_away: bool = False
    pause: PaymentPause | None = None
    signatures: dict[str, str] = field(default_factory=dict)
    ended: bool = False

    async def in_force(self) -> tuple[PaymentPause, dict[str, str]] | None:
        if self.is_away:
            raise ConnectionError("PostgreSQL is away")
        if self.pause is None or self.ended:
            return None
        return self.pause, dict(self.signatures)

    async def begin(self, pause: PaymentPause, signature: str) -> None:
        self.pause = pause

    async def resume(
        self, pause: PaymentPause, signatures: Mapping[str, str], by: str, *, ended: bool
    ) -> None:
        assert by in signatures
        self.signatures, self.ended = dict(signatures), ended


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give a machine with a signer and three officers' keys."""
    officers.create_officers(tmp_path, ("marta", "olga", "piero"))
    return Settings(
        data_dir=tmp_path,
        database_url="postgresql+asyncpg://localhost:1/none",
        redis_url="redis://localhost:1",
        temporal_address="localhost:1",
        chain_url="http://localhost:1",
    )


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Give the rows that the desk finds."""
    rows = Rows()
    monkeypatch.setattr(desk, "PauseStore", lambda *_: rows)
    return rows


def _is_stopped(settings: Settings) -> bool:
    pinned = PinnedOfficers(officers.signer_pinned_path(settings.data_dir))
    return pause_refusal(pause_path(settings.data_dir), pinned) is not None


async def test_the_signer_stops_without_a_database(settings: Settings, rows: Rows) -> None:
    """The file needs no server; it is told that the rest does, and two end it as any pause."""
    rows.is_away = True
    with pytest.raises(DeskError, match="pause again"):
        await desk.pause(ENGINE, settings, "marta", "a key is missing")
    assert _is_stopped(settings)
    rows.is_away = False
    assert not (await desk.resume(ENGINE, settings, "marta")).ended
    assert _is_stopped(settings)
    assert (await desk.resume(ENGINE, settings, "piero")).ended
    assert not _is_stopped(settings)


async def test_a_key_that_goes_later_can_be_made_up_for(settings: Settings, rows: Rows) -> None:
    """The signer counts who is pinned now: one who has left since is replaced by another."""
    await desk.pause(ENGINE, settings, "marta", "a drill")
    for officer in ("marta", "piero"):
        await desk.resume(ENGINE, settings, officer)
    with pytest.raises(DeskError, match="not paused"):
        await desk.resume(ENGINE, settings, "olga")
    pins = officers.signer_pinned_path(settings.data_dir)
    revoke_pin(pins, "piero", "test", "has left", dt.datetime.now(dt.UTC))
    assert _is_stopped(settings)
    with pytest.raises(DeskError, match="signed already"):
        await desk.resume(ENGINE, settings, "marta")
    assert (await desk.resume(ENGINE, settings, "olga")).ended
    assert not _is_stopped(settings)


async def test_a_database_that_hangs_keeps_nobody_from_stopping(
    settings: Settings, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signer's file is written first; letting go on takes the row as well, and says so."""
    monkeypatch.setattr(desk, "_DATABASE_SECONDS", 0.01)
    monkeypatch.setattr(rows, "in_force", lambda: asyncio.Event().wait())
    with pytest.raises(DeskError, match="does not answer"):
        await desk.pause(ENGINE, settings, "marta", "a key is missing")
    assert _is_stopped(settings)
    with pytest.raises(DeskError, match="resume again"):
        await desk.resume(ENGINE, settings, "marta")
    assert _is_stopped(settings)


async def test_a_file_that_cannot_be_read_is_written_anew(settings: Settings, rows: Rows) -> None:
    """The signer refuses by it; an officer's pause takes its place, and two end that."""
    pause_path(settings.data_dir).write_text("{")
    assert _is_stopped(settings)
    await desk.pause(ENGINE, settings, "marta", "a drill")
    for officer in ("marta", "piero"):
        await desk.resume(ENGINE, settings, officer)
    assert not _is_stopped(settings)
