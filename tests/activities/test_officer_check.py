"""Only decisions that count go to the signer: it refuses an order for one that does not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from activities.officer_check import OfficerCheck
from domain.approval import APPROVE, Decision, DecisionSubject, Officer, Statement

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SUBJECT = DecisionSubject("w-1", 7, "USDT", 5_000, "0xReceiver")
GOOD = Statement("w-1", APPROVE, "USDT", 5_000, "0xReceiver", int(NOW.timestamp()) + 300)
CHECK = OfficerCheck(
    {name: Officer(name, "aa") for name in ("marta", "piero", "olga")},
    lambda key, text, signature: signature == b"\x01",
    lambda: NOW,
)


def _decision(officer: str, statement: Statement = GOOD, signature: str = "01") -> Decision:
    return Decision(officer, statement.action, statement.canonical(), signature)


@pytest.mark.parametrize(
    "bad",
    [
        _decision("piero", signature="02"),
        _decision("mallory"),
        _decision("marta"),
        _decision("piero", replace(GOOD, amount=5_001)),
        _decision("piero", replace(GOOD, action="reject")),
        _decision("piero", replace(GOOD, expiry=int(NOW.timestamp()))),
    ],
)
def test_a_bad_decision_is_left_out_and_spoils_no_other(bad: Decision) -> None:
    """A wrong signature, a stranger, a second of the same officer, another amount, an old one."""
    stored = [_decision("marta"), bad, _decision("olga")]
    assert CHECK.good(SUBJECT, APPROVE, stored) == [stored[0], stored[2]]


def test_a_decision_must_count_as_long_as_is_asked() -> None:
    """Before a nonce is given, for the time that the signature may take."""
    stored = [_decision("marta")]
    assert CHECK.good(SUBJECT, APPROVE, stored, for_another=dt.timedelta(seconds=299)) == stored
    assert CHECK.good(SUBJECT, APPROVE, stored, for_another=dt.timedelta(seconds=300)) == []
