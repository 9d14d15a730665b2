"""Who is asked about a payment: local lists, or a service at an address of the settings.

`RIALTO_SCREENING_URL` and `RIALTO_TRAVEL_RULE_URL` replace the local rules. The service gets
`POST` with the fields of `domain.screening.Screening` as JSON (amounts as text) and answers
`{"verdict": "clear" | "review" | "blocked", "rule": "...", "version": "..."}`, the last two at most
64 letters, digits and `._:-`. `RIALTO_IDENTITY_URL` adds who knows customers
(infra/wallet/identity.py). Anything else, and no answer, is `ScreeningAwayError`: whoever asked
asks again later, and nothing passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from domain import screening
from domain.screening import (
    IDENTITY,
    SANCTIONS,
    TRAVEL_RULE,
    Screening,
    ScreeningResult,
    Verdict,
)
from infra.settings import Settings
from infra.wallet.asked_service import AskedService
from infra.wallet.identity import HttpIdentity

_LOCAL = {
    SANCTIONS: "the lists in the data folder",
    TRAVEL_RULE: "what customers say of receivers",
    IDENTITY: "the tiers that staff give",
}


class Screener(Protocol):
    """Something that can be asked about a payment."""

    async def screen(self, asked: Screening) -> ScreeningResult:
        """Return the answer, or raise `ScreeningAwayError`."""


def denied_path(data_dir: Path) -> Path:
    """Return the file of denied addresses, one a line in checksum form; # starts a remark."""
    return data_dir / "wallet" / "denied-addresses.txt"


def review_path(data_dir: Path) -> Path:
    """Return the file of addresses that an officer has to look at, in the same form."""
    return data_dir / "wallet" / "review-addresses.txt"


class ListScreener:
    """Two files, read anew for every question, so that an edited list counts at once."""

    def __init__(self, data_dir: Path) -> None:
        self._files = {
            Verdict.BLOCKED: denied_path(data_dir),
            Verdict.REVIEW: review_path(data_dir),
        }

    async def screen(self, asked: Screening) -> ScreeningResult:
        """Return the worse list that the address is on; the version is the files' digest."""
        texts = {
            verdict: path.read_text() if path.exists() else ""
            for verdict, path in self._files.items()
        }
        digest = hashlib.sha256("\0".join(texts.values()).encode()).hexdigest()[:16]
        for verdict, text in texts.items():
            if asked.address in _addresses(text):
                return ScreeningResult(verdict, self._files[verdict].name, digest)
        return ScreeningResult(Verdict.CLEAR, version=digest)


class TravelRuleScreener:
    """`domain.screening.travel_rule`: what the customer said of the receiver, held here."""

    async def screen(self, asked: Screening) -> ScreeningResult:
        """Return whether the payment carries what it must."""
        return screening.travel_rule(asked)


class HttpScreener(AskedService):
    """A service that answers by itself, or by asking the receiver's institution."""

    async def screen(self, asked: Screening) -> ScreeningResult:
        """Ask once; the caller's retries are what makes up for an outage."""
        cents = asked.value_cents
        question = asdict(asked) | {
            "amount": str(asked.amount),
            "value_cents": None if cents is None else str(cents),
        }
        return await self.ask(question, "verdict", {str(verdict): verdict for verdict in Verdict})


def screeners_of(settings: Settings) -> dict[str, Screener]:
    """Return who is asked, by name, in the order of precedence.

    Without a service nobody is asked who a customer is: staff have looked, and what they found is
    the tier, whose limits the policy holds.
    """
    known = settings.identity_url
    return {
        SANCTIONS: HttpScreener(settings.screening_url)
        if settings.screening_url
        else ListScreener(settings.data_dir),
        TRAVEL_RULE: HttpScreener(settings.travel_rule_url)
        if settings.travel_rule_url
        else TravelRuleScreener(),
        **({IDENTITY: HttpIdentity(known)} if known else {}),
    }


def who_is_asked(screeners: Mapping[str, Screener]) -> dict[str, str]:
    """Return in words who answers each question, for `rialto status` and `rialto doctor`."""
    found: dict[str, str] = {}
    for name, local in _LOCAL.items():
        screener = screeners.get(name)
        found[name] = screener.told if isinstance(screener, AskedService) else local
    return found


def who_is_away(screeners: Mapping[str, Screener]) -> list[str]:
    """Return what to tell of services that do not answer; not where they are: anybody reads it."""
    return [
        f"whoever is asked about {name} does not answer, and payments wait"
        for name, screener in screeners.items()
        if isinstance(screener, AskedService) and screener.is_away
    ]


async def ask_all(
    screeners: Mapping[str, Screener], asked: Screening
) -> dict[str, ScreeningResult]:
    """Return every answer; one that is missing is an error."""
    return {name: await screener.screen(asked) for name, screener in screeners.items()}


def listed_in(path: Path) -> set[str]:
    """Return the addresses of a list file; none where there is no file."""
    return _addresses(path.read_text()) if path.exists() else set()


def _addresses(text: str) -> set[str]:
    return {line.partition("#")[0].strip() for line in text.splitlines()} - {""}
