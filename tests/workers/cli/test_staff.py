"""The staff's file by its verbs: in, out, and what is refused."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.staff_file import StaffDirectory, create_demo_staff, staff_path
from infra.wallet.officers import create_officers, pinned_path
from infra.wallet.pinned_officers import PinnedOfficers
from workers.__main__ import build

KEY = "ab" * 32


def _rialto(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(build(), ["staff", *arguments, "--data", str(data)])


def _listed(data: Path) -> dict[str, Any]:
    rows = json.loads(_rialto(data, "list", "--json").stdout)
    return {row["name"]: row["roles"] for row in rows}


def test_demo_staff_has_one_of_each_role(tmp_path: Path) -> None:
    """Officers are the approvers; private keys are their owner's alone."""
    secrets = tmp_path / "secrets"
    create_officers(tmp_path)
    create_demo_staff(secrets)
    assert _listed(tmp_path) == {
        "olga": ["operator"],
        "clara": ["compliance"],
        "ada": ["admin"],
        "marta": ["approver"],
        "piero": ["approver"],
    }
    assert stat.S_IMODE((secrets / "staff-olga.pem").stat().st_mode) == 0o600
    before = staff_path(secrets).read_text()
    create_demo_staff(secrets)
    assert staff_path(secrets).read_text() == before


def test_members_come_and_go_at_once(tmp_path: Path) -> None:
    """A directory that was opened before sees them."""
    create_officers(tmp_path)
    create_demo_staff(tmp_path / "secrets")
    staff = StaffDirectory(staff_path(tmp_path / "secrets"), PinnedOfficers(pinned_path(tmp_path)))
    assert (
        _rialto(tmp_path, "add", "hugo", "--role", "operator", "--public-key", KEY).exit_code == 0
    )
    hugo = staff.find("hugo")
    assert hugo is not None
    assert hugo.may_steer()
    assert _rialto(tmp_path, "remove", "hugo").exit_code == 0
    assert staff.find("hugo") is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "olga", "--role", "admin"], "on the staff already"),
        (["add", "Ö", "--role", "admin"], "small letters"),
        (["add", "eve", "--role", "approver"], "officers that the signer pins"),
        (["add", "eve", "--role", "admin", "--public-key", "00"], "64 lower-case"),
        (["remove", "eve"], "there is no eve"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    """And changes nothing."""
    create_demo_staff(tmp_path / "secrets")
    before = staff_path(tmp_path / "secrets").read_text()
    refused = _rialto(tmp_path, *arguments)
    assert refused.exit_code == 1
    assert words in refused.stderr
    assert staff_path(tmp_path / "secrets").read_text() == before
