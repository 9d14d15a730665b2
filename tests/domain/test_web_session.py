"""Refresh tokens: what each is to its session."""

from __future__ import annotations

import datetime as dt

import pytest

from domain.web_login import password_refusal, spelled, spoken_hash
from domain.web_session import (
    GRACE_SPAN,
    Family,
    Judgement,
    Presented,
    judged,
    presented,
    token_hash,
)

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
FAMILY = Family(token_hash("family"), token_hash("new"), token_hash("old"), NOON)
INSTANT = dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("family", "secret", "after", "verdict"),
    [
        ("family", "new", dt.timedelta(days=1), Judgement.GOOD),
        ("family", "old", GRACE_SPAN, Judgement.GOOD),
        ("family", "old", GRACE_SPAN + INSTANT, Judgement.REUSED),
        ("family", "older", INSTANT, Judgement.REUSED),
        ("other", "new", INSTANT, Judgement.FOREIGN),
        ("other", "old", INSTANT, Judgement.FOREIGN),
    ],
)
def test_what_a_token_is(family: str, secret: str, after: dt.timedelta, verdict: Judgement) -> None:
    """Whoever only knows a session's id ends nothing; an old token of the family does."""
    assert judged(FAMILY, Presented("rs_1", family, secret), NOON + after) is verdict


def test_only_our_spelling_is_a_token() -> None:
    """Three parts of fixed lengths."""
    text = f"rs_{'0a' * 12}.{'f' * 43}.{'s' * 43}"
    assert presented(text) == Presented(f"rs_{'0a' * 12}", "f" * 43, "s" * 43)
    for wrong in ("", text[:-1], text + "s", text.upper(), text + "\n", text.replace(".", ":")):
        assert presented(wrong) is None


@pytest.mark.parametrize(
    ("password", "refused"),
    [
        ("correct horse battery", False),
        ("twelve chars", False),
        ("eleven char", True),
        ("x" * 129, True),
        ("abababababababab", True),
        ("my name is Alice!", True),
        ("påssord på norsk", False),
    ],
)
def test_what_a_password_is(password: str, refused: bool) -> None:
    """Long, not the same few letters, and without the name."""
    assert (password_refusal("alice", password) is not None) == refused


def test_codes_are_the_same_however_they_are_typed() -> None:
    """Case, blanks and hyphens do not count; ten bytes are sixteen letters in fours."""
    text = spelled(b"0123456789")
    assert len(text.split("-")) == 4
    assert spoken_hash(text) == spoken_hash(text.lower().replace("-", " "))
    assert spoken_hash(text) != spoken_hash(text[:-1])
