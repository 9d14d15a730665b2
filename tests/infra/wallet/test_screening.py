"""Local lists, and a real service on a loopback port: what it says, and what is no answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.screening import SANCTIONS, TRAVEL_RULE, Screening, ScreeningResult, Verdict
from infra.settings import Settings
from infra.wallet.asked_service import ScreeningAwayError
from infra.wallet.screening import (
    HttpScreener,
    ListScreener,
    denied_path,
    review_path,
    screeners_of,
    who_is_asked,
    who_is_away,
)
from tests.infra.wallet.answering_service import AnsweringService, answering_service
from tests.offline import NO_SERVERS

ASKED = Screening(
    subject="withdrawal-1",
    customer_id=7,
    asset="ETH",
    amount=10**24,
    value_cents=250_000,
    chain="ETH",
    address="0xReceiver",
    beneficiary="Alice",
)


@pytest.fixture
async def service() -> AsyncIterator[AnsweringService]:
    """Give a service that listens."""
    async with answering_service() as made:
        yield made


async def test_lists_are_read_anew_and_the_worse_one_counts(tmp_path: Path) -> None:
    """The rule is the file's name, the version changes with its content."""
    screener = ListScreener(tmp_path)
    clear = await screener.screen(ASKED)
    assert clear.verdict is Verdict.CLEAR
    review_path(tmp_path).parent.mkdir()
    review_path(tmp_path).write_text("# mixers\n0xReceiver  # seen today\n")
    review = await screener.screen(ASKED)
    assert (review.verdict, review.rule) == (Verdict.REVIEW, "review-addresses.txt")
    denied_path(tmp_path).write_text("0xOther\n0xReceiver\n")
    blocked = await screener.screen(ASKED)
    assert (blocked.verdict, blocked.rule) == (Verdict.BLOCKED, "denied-addresses.txt")
    assert len({clear.version, review.version, blocked.version}) == 3


@pytest.mark.parametrize("verdict", list(Verdict))
async def test_a_service_is_asked_everything_and_believed(
    service: AnsweringService, verdict: Verdict
) -> None:
    """Amounts travel as text, since JSON's numbers may be floats."""
    service.answer = json.dumps({"verdict": verdict, "rule": "r-1", "version": "7"}).encode()
    assert await HttpScreener(service.url).screen(ASKED) == ScreeningResult(verdict, "r-1", "7")
    (asked,) = service.asked
    assert asked == {
        "subject": "withdrawal-1",
        "customer_id": 7,
        "asset": "ETH",
        "amount": str(10**24),
        "value_cents": "250000",
        "chain": "ETH",
        "address": "0xReceiver",
        "beneficiary": "Alice",
        "institution": "",
    }


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (b"200 OK", b""),
        (b"200 OK", b"[]"),
        (b"200 OK", b"null"),
        (b"200 OK", b'{"verdict": "clear"}'),
        (b"200 OK", b'{"verdict": "fine", "rule": "", "version": ""}'),
        (b"200 OK", b'{"verdict": true, "rule": "", "version": ""}'),
        (b"200 OK", b'{"verdict": "review", "rule": "Alice Example", "version": ""}'),
        (b"302 Found", b'{"verdict": "clear", "rule": "", "version": ""}'),
        (b"503 Away", b'{"verdict": "clear", "rule": "", "version": ""}'),
    ],
)
async def test_what_is_no_answer_passes_nothing(
    service: AnsweringService, status: bytes, answer: bytes
) -> None:
    """It is raised, so that whoever asked asks again."""
    service.status, service.answer = status, answer
    with pytest.raises(ScreeningAwayError):
        await HttpScreener(service.url).screen(ASKED)


async def test_nobody_there_is_no_answer_either(service: AnsweringService) -> None:
    """Nor is an address that cannot be one."""
    for url in ("http://127.0.0.1:1/", "http://[", "nowhere"):
        with pytest.raises(ScreeningAwayError):
            await HttpScreener(url).screen(ASKED)


async def test_settings_say_who_is_asked(tmp_path: Path, service: AnsweringService) -> None:
    """Local rules by default; an address replaces each by itself, in the same order."""
    common = {**NO_SERVERS, "RIALTO_DATA_DIR": str(tmp_path)}
    local = screeners_of(Settings.of(common))
    assert list(local) == [SANCTIONS, TRAVEL_RULE]
    assert not any(isinstance(one, HttpScreener) for one in local.values())
    away = screeners_of(Settings.of(common | {"RIALTO_TRAVEL_RULE_URL": service.url}))
    assert isinstance(away[TRAVEL_RULE], HttpScreener)
    assert isinstance(away[SANCTIONS], ListScreener)


async def test_who_does_not_answer_is_told_without_what_its_address_carries(
    tmp_path: Path, service: AnsweringService
) -> None:
    """Operators read host and port; a name and a password in the address are nobody's to read."""
    secret = service.url.replace("http://", "http://us:hidden@") + "?key=hidden"
    screeners = screeners_of(
        Settings.of(
            {**NO_SERVERS, "RIALTO_DATA_DIR": str(tmp_path), "RIALTO_SCREENING_URL": secret}
        )
    )
    place = service.url.removesuffix("/ask")
    assert who_is_asked(screeners) == {
        "sanctions": place,
        "travel_rule": "what customers say of receivers",
        "identity": "the tiers that staff give",
    }
    assert not who_is_away(screeners)

    with pytest.raises(ScreeningAwayError) as raised:
        await screeners[SANCTIONS].screen(ASKED)
    assert "hidden" not in str(raised.value)
    assert who_is_asked(screeners)["sanctions"] == f"{place} does not answer"
    (told,) = who_is_away(screeners)
    assert "sanctions" in told
    assert "127.0.0.1" not in told  # it is shown to everybody

    service.answer = b'{"verdict": "clear", "rule": "", "version": ""}'
    await screeners[SANCTIONS].screen(ASKED)
    assert not who_is_away(screeners)
