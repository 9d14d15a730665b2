"""Adjustments: what may be proposed, and whose signature counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.adjustment import (
    ADJUST,
    Adjustment,
    AdjustmentState,
    event_place,
    proposal_refusal,
)
from domain.approval import Decision, Officer
from domain.ledger import Posting
from domain.two_signatures import signature_refusal

OFFICERS = {name: Officer(name, "00" * 32) for name in ("marta", "piero")}
MOVE = Posting("capital:USDT", "customer:7:main:USDT", "USDT", 5)
GOOD = Adjustment("11111111-1111-1111-1111-111111111111", (MOVE,), "gift", "", 1_000, "ann")
OUT = Posting("suspense:USDT", "customer:7:main:USDT", "USDT", 5)
RELEASE = replace(GOOD, postings=(OUT,), event="deposit-ETH-0xab-0")
FIX = replace(
    GOOD, postings=(Posting("capital:USDT", "transit.0:USDT", "USDT", 5),), event="0:12.3"
)


def test_keys_are_by_what_is_corrected() -> None:
    """A free one has its own key, a correction and a quarantine that of the event."""
    assert (GOOD.kind, GOOD.key) == ("adjustment", f"adjustment-{GOOD.adjustment_id}")
    assert (FIX.kind, FIX.key) == ("correction", "correction-0-12-3")
    passed = replace(FIX, postings=())
    assert (passed.kind, passed.key) == ("quarantine", "quarantine-0-12-3")
    assert event_place("0:12.3\n") is None


def test_release_of_a_deposit_has_the_deposits_key() -> None:
    """So that no two proposals can both be posted; it is signed with the deposit's name."""
    release = replace(RELEASE, adjustment_id="22222222-2222-2222-2222-222222222222")
    assert (release.kind, release.key) == ("suspense_release", "deposit-ETH-0xab-0-release")
    assert "deposit-ETH-0xab-0" in release.statement()
    assert proposal_refusal(release) is None


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (replace(RELEASE, postings=()), "one posting"),
        (replace(RELEASE, postings=(MOVE,)), "from suspense to"),
        (replace(RELEASE, postings=(replace(OUT, destination="capital:USDT"),)), "a customer's"),
        (replace(RELEASE, postings=(replace(OUT, asset="ETH"),)), "ETH"),
        (replace(GOOD, reason=" "), "reason"),
        (replace(GOOD, reason="x" * 501), "reason"),
        (replace(GOOD, postings=()), "quarantine"),
        (replace(FIX, event="12.3"), "shard:sequence.index"),
        (replace(FIX, event=""), "is settlement's"),
        (replace(GOOD, postings=(replace(MOVE, source="nobody"),)), "not an account"),
        (replace(GOOD, postings=(replace(MOVE, asset="ETH"),)), "does not hold ETH"),
    ],
)
def test_what_makes_no_sense_is_not_proposed(bad: Adjustment, why: str) -> None:
    """Each refusal says which rule it is."""
    refusal = proposal_refusal(bad)
    assert refusal is not None
    assert why in refusal
    assert proposal_refusal(GOOD) is None
    assert proposal_refusal(FIX) is None


def decision(**changes: str) -> Decision:
    fields = {
        "officer": "marta",
        "action": ADJUST,
        "statement": GOOD.statement(),
        "signature_hex": "aa",
    }
    return Decision(**{**fields, **changes})


def refusal(
    given: Decision,
    *,
    adjustment: Adjustment = GOOD,
    signed: tuple[str, ...] = (),
    now: int = 999,
) -> str | None:
    return signature_refusal(
        given,
        adjustment,
        officers=OFFICERS,
        signed=signed,
        now=now,
        verify=lambda _key, message, signature: (
            signature == b"\xaa" and message == GOOD.statement().encode()
        ),
    )


def test_signature_counts_when_everything_is_right() -> None:
    """A pinned officer, this very statement, in time, for the first time."""
    assert refusal(decision()) is None
    assert refusal(decision(officer="piero"), signed=("marta",)) is None


@pytest.mark.parametrize(
    ("given", "options", "why"),
    [
        (decision(officer="mallory"), {}, "unknown officer"),
        (decision(action="approve"), {}, "not this adjustment's"),
        (decision(statement=replace(GOOD, reason="theft").statement()), {}, "not this"),
        (decision(signature_hex="bb"), {}, "invalid signature"),
        (decision(signature_hex="no hex"), {}, "invalid signature"),
        (decision(), {"now": 1_000}, "expired"),
        (decision(), {"signed": ("marta",)}, "signed already"),
        (decision(), {"adjustment": replace(GOOD, state=AdjustmentState.POSTED)}, "is posted"),
    ],
)
def test_other_signatures_do_not(given: Decision, options: dict[str, object], why: str) -> None:
    """Each refusal says why."""
    found = refusal(given, **options)  # type: ignore[arg-type]
    assert found is not None
    assert why in found
