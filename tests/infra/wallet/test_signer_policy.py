"""The signer's policy file: complete, or no start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from domain.signing_limits import SigningLimits
from infra.wallet.signer_policy import SignerPolicy
from infra.wallet.signer_refusal import SignerFilesError

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
ASSET = {"contract": None, "approval_above": "5", "amount_per_hour": "7", "amount_per_day": "9"}
GOOD: dict[str, Any] = {
    "chain_id": 31337,
    "signatures_per_hour": 3,
    "allow_list": [ADDRESS],
    "cold_address": None,
    "assets": {"ETH": ASSET},
}


def _load(folder: Path, content: object) -> SignerPolicy:
    path = folder / "policy.json"
    path.write_text(json.dumps(content))
    return SignerPolicy.load(path)


def test_whole_file_is_read(tmp_path: Path) -> None:
    """Thresholds and limits in chain units, written as text."""
    policy = _load(tmp_path, GOOD)
    assert policy.allow_list == frozenset({ADDRESS})
    assert policy.limits("ETH") == SigningLimits(3, 7, 9)
    assert policy.assets["ETH"].approval_above == 5
    assert _load(tmp_path, GOOD | {"allow_list": None}).allow_list is None


@pytest.mark.parametrize(
    "content",
    [
        {name: value for name, value in GOOD.items() if name != "allow_list"},
        GOOD | {"note": "hello"},
        GOOD | {"signatures_per_hour": "many"},
        GOOD | {"allow_list": [ADDRESS.lower()]},
        GOOD | {"assets": {"ETH": {"contract": None, "approval_above": "5"}}},
        GOOD | {"assets": {"ETH": ASSET | {"note": 1}}},
        [],
    ],
)
def test_anything_missing_or_unknown_stops_the_start(tmp_path: Path, content: object) -> None:
    """No limit has a default, and a misspelt field is not ignored."""
    with pytest.raises(SignerFilesError, match=r"policy\.json"):
        _load(tmp_path, content)
