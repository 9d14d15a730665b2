"""The signer's journal: what cannot be read is no empty window."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.wallet.signer_journal import SignerJournal
from infra.wallet.signer_refusal import SignerFilesError


def test_journal_of_an_earlier_version_is_named(tmp_path: Path) -> None:
    """Without amounts the windows would be empty: no start rather than no limits."""
    (tmp_path / "signed.jsonl").write_text('{"nonce": 1, "withdrawal_id": "x", "hash": "00"}\n')
    with pytest.raises(SignerFilesError, match=r"signed\.jsonl, line 1"):
        SignerJournal(tmp_path / "signed.jsonl")
