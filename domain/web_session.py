"""Web sessions: a refresh token that changes with each use, and access tokens that last minutes.

A refresh token names the session and has two secrets: the family's, which stays, and one that each
use replaces. Whoever has the family's secret with an old one shows that there are two holders: one
of them has stolen it, nobody can say which, and the session ends for both.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum

ACCESS_SPAN = dt.timedelta(minutes=10)
STEP_UP_SPAN = dt.timedelta(minutes=5)
IDLE_SPAN = dt.timedelta(hours=12)  # without a refresh, then it has ended
LONGEST_SPAN = dt.timedelta(days=7)
GRACE_SPAN = dt.timedelta(seconds=10)  # an answer may be lost: the last token but one still counts
MAX_SESSIONS = 10  # of a customer; one more ends the oldest
LONGEST_AGENT = 120
SESSION_PREFIX = "rs_"
SESSION_ENDED = "session_ended"  # audit action, about the customer

_REFRESH = re.compile(r"(rs_[0-9a-f]{24})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})")


class Judgement(StrEnum):
    """What a refresh token is."""

    GOOD = "good"
    REUSED = "reused"  # an old one: the family ends
    FOREIGN = "foreign"  # nobody's


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that somebody shows."""

    session_id: str
    family: str
    secret: str


@dataclass(frozen=True, slots=True)
class Family:
    """What is kept of a session's tokens: hashes, and when the present one was given out."""

    family_hash: str
    secret_hash: str
    previous_hash: str
    rotated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session with the refresh token that was just given out."""

    session_id: str
    customer_id: int
    refresh: str
    expires_at: dt.datetime
    stepped_up_at: dt.datetime


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session that goes on, as its owner sees it."""

    session_id: str
    address: str
    agent: str
    created_at: dt.datetime
    used_at: dt.datetime
    expires_at: dt.datetime


def presented(text: str) -> Presented | None:
    """Return the parts of a refresh token; None for what is none."""
    found = _REFRESH.fullmatch(text)
    return None if found is None else Presented(*found.groups())


def token_hash(secret: str) -> str:
    """Return what is kept of a secret of 256 random bits: SHA-256, hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def judged(family: Family, shown: Presented, now: dt.datetime) -> Judgement:
    """Return what a refresh token is to its session.

    The last one but one counts for a moment: an answer is lost where a page is left while it comes.
    """
    if not hmac.compare_digest(family.family_hash, token_hash(shown.family)):
        return Judgement.FOREIGN
    own = token_hash(shown.secret)
    if hmac.compare_digest(family.secret_hash, own):
        return Judgement.GOOD
    is_late = now - family.rotated_at <= GRACE_SPAN
    if is_late and hmac.compare_digest(family.previous_hash, own):
        return Judgement.GOOD
    return Judgement.REUSED
