"""Who knows customers: what a real service on a loopback port is asked, says, and fails to say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.screening import IDENTITY, SANCTIONS, TRAVEL_RULE, Screening, ScreeningResult, Verdict
from infra.settings import Settings
from infra.wallet.asked_service import ScreeningAwayError
from infra.wallet.identity import HttpIdentity
from infra.wallet.screening import ask_all, screeners_of
from tests.infra.wallet.answering_service import AnsweringService, answering_service
from tests.offline import NO_SERVERS

ASKED = Screening(
    subject="withdrawal-1",
    customer_id=7,
    asset="USDT",
    amount=10**8,
    value_cents=10_000,
    chain="ETH",
    address="0xReceiver",
    beneficiary="Alice",
)


@pytest.fixture
async def service() -> AsyncIterator[AnsweringService]:
    """Give a service that listens."""
    async with answering_service() as made:
        yield made


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("verified", Verdict.CLEAR),
        ("pending", Verdict.REVIEW),
        ("refused", Verdict.BLOCKED),
    ],
)
async def test_it_is_asked_who_and_not_where_to(
    service: AnsweringService, status: str, verdict: Verdict
) -> None:
    """The status is believed; address, amount and beneficiary are none of its business."""
    service.answer = json.dumps({"status": status, "rule": "papers", "version": "3"}).encode()
    assert await HttpIdentity(service.url).screen(ASKED) == ScreeningResult(verdict, "papers", "3")
    assert service.asked == [{"customer_id": 7, "subject": "withdrawal-1"}]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (b"200 OK", b""),
        (b"200 OK", b"null"),
        (b"200 OK", b'{"status": "clear", "rule": "", "version": ""}'),
        (b"200 OK", b'{"verdict": "clear", "rule": "", "version": ""}'),
        (b"200 OK", b'{"status": ["verified"], "rule": "", "version": ""}'),
        (b"200 OK", b'{"status": "verified", "rule": "Alice Example", "version": ""}'),
        (b"302 Found", b'{"status": "verified", "rule": "", "version": ""}'),
        (b"404 Not Found", b'{"status": "verified", "rule": "", "version": ""}'),
    ],
)
async def test_what_is_no_answer_is_no_yes(
    service: AnsweringService, status: bytes, answer: bytes
) -> None:
    """Whoever asked asks again; nobody is taken for known meanwhile."""
    service.status, service.answer = status, answer
    with pytest.raises(ScreeningAwayError):
        await HttpIdentity(service.url).screen(ASKED)


async def test_one_that_is_away_holds_up_all_answers(tmp_path: Path) -> None:
    """The others' `clear` is no answer to who the customer is."""
    common = {**NO_SERVERS, "RIALTO_DATA_DIR": str(tmp_path)}
    assert list(screeners_of(Settings.of(common))) == [SANCTIONS, TRAVEL_RULE]
    screeners = screeners_of(Settings.of(common | {"RIALTO_IDENTITY_URL": "http://127.0.0.1:1/"}))
    assert list(screeners) == [SANCTIONS, TRAVEL_RULE, IDENTITY]
    with pytest.raises(ScreeningAwayError):
        await ask_all(screeners, ASKED)
