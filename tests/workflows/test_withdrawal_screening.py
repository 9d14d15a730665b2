"""Screening and Travel Rule: reviews, outages, late doubts; a chain that is dear or stuck."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest
import sqlalchemy as sa

from domain.approval import APPROVE
from domain.chain import MAX_REPLACEMENTS
from domain.screening import IDENTITY, Screening, ScreeningResult, Verdict
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.wallet.asked_service import ScreeningAwayError
from infra.wallet.identity import HttpIdentity
from infra.wallet.policy_facts import PolicyFactsReader
from infra.wallet.rescreening import rescreen
from infra.wallet.screening import review_path, screeners_of
from infra.wallet.transaction import decode_signed
from tests.infra.wallet.answering_service import AnsweringService, answering_service
from tests.workflows.wallet_parts import OUTSIDE
from tests.workflows.wallet_rig import Rig
from workers import officer_desk as desk

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6
NEVER_NAMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


async def test_a_review_takes_an_officers_signature(quiet_rig: Rig) -> None:
    """However small the amount; the verb that looks again names it, and writes it down."""
    rig = quiet_rig
    async with rig.worker():
        await _review(rig)


async def _review(rig: Rig) -> None:
    await rig.funded_customer(4, "USDT", 3_000 * USDT)
    doubtful = review_path(rig.settings.data_dir)
    doubtful.parent.mkdir(exist_ok=True)
    doubtful.write_text(f"{OUTSIDE}\n")
    name = await rig.withdraw(4, "USDT", 50 * USDT)
    await rig.until_approvable(name)
    assert (await rig.row(name)).review == "sanctions:review-addresses.txt"
    unnamed = await rig.request(4, "USDT", 950 * USDT, address=NEVER_NAMED, beneficiary="")
    async with rig.engine.begin() as connection:
        mine = tables.withdrawal.c.withdrawal_id == UUID(unnamed)
        await connection.execute(sa.update(tables.withdrawal).where(mine).values(value_cents=10**6))
    await rig.start(unnamed)
    await rig.until_approvable(unnamed)
    assert (await rig.row(unnamed)).review == "travel_rule:beneficiary_not_named"

    done = await rescreen(rig.engine, AuditStore(), screeners_of(rig.settings), "staff:clara")
    found = {(one.subject, one.screener, one.result.verdict) for one in done.findings}
    assert {
        (f"withdrawal-{name}", "sanctions", Verdict.REVIEW),
        (f"withdrawal-{unnamed}", "travel_rule", Verdict.REVIEW),
        ("customer-4", "sanctions", Verdict.REVIEW),
    } <= found
    assert "rescreened" in await rig.audit(f"withdrawal-{name}")

    for waiting in (name, unnamed):
        statement = await desk.statement_for(rig.settings, waiting, APPROVE)
        await desk.decide(rig.settings, "marta", statement)
        await rig.until_settled(waiting)
    doubtful.unlink()


class _Fickle:
    """A service that is away twice, and then finds what it did not find before."""

    def __init__(self) -> None:
        self.asked = 0

    async def screen(self, asked: Screening) -> ScreeningResult:
        self.asked += 1
        if self.asked <= 2:
            raise ScreeningAwayError("played")
        verdict = Verdict.CLEAR if self.asked == 3 else Verdict.REVIEW
        return ScreeningResult(verdict, "mixer", "1")


async def test_an_outage_waits_and_a_late_doubt_parks(quiet_rig: Rig) -> None:
    """Nothing passes unanswered; what was clear and is not any more is not paid unsigned."""
    rig, fickle = quiet_rig, _Fickle()
    facts = PolicyFactsReader(rig.engine, rig.wallet.public.hot_address, {"sanctions": fickle})
    async with rig.worker(policy_facts=facts):
        await rig.funded_customer(5, "USDT", 300 * USDT)
        name = await rig.withdraw(5, "USDT", 50 * USDT)
        await rig.until(lambda: rig.stage(name), "failed:nonce")
        assert fickle.asked >= 4
        details = await rig.details(name)
        assert "ReviewNeeded" in details
        assert "sanctions:mixer" in details
        statement = await desk.statement_for(rig.settings, name, APPROVE)
        await desk.decide(rig.settings, "marta", statement)
        await desk.retry(rig.settings, name, "looked at it")
        await rig.until_settled(name)


async def test_whoever_is_refused_by_name_gets_his_money_back(quiet_rig: Rig) -> None:
    """Who knows customers is asked over HTTP: away nothing passes, then the hold is given back."""
    rig = quiet_rig
    async with answering_service() as service:
        service.status = b"503 Away"
        known = {IDENTITY: HttpIdentity(service.url)}
        facts = PolicyFactsReader(rig.engine, rig.wallet.public.hot_address, known)
        async with rig.worker(policy_facts=facts):
            await rig.funded_customer(8, "USDT", 300 * USDT)
            name = await rig.withdraw(8, "USDT", 50 * USDT)
            await rig.until(lambda: _asked_again(service), True)
            assert await rig.state(name) == "held"
            service.answer = b'{"status": "refused", "rule": "papers", "version": "1"}'
            service.status = b"200 OK"
            await rig.until(lambda: rig.state(name), "rejected")
        assert (await rig.row(name)).reason == "policy:not_blocked_by_identity"
        assert service.asked[0] == {"customer_id": 8, "subject": f"withdrawal-{name}"}


async def _asked_again(service: AnsweringService) -> bool:
    return len(service.asked) >= 2


async def test_a_dear_chain_parks_before_the_nonce(quiet_rig: Rig) -> None:
    """Nothing is numbered above the highest fee; the customer may cancel meanwhile."""
    rig = quiet_rig
    async with rig.worker(max_fee=1):
        await rig.funded_customer(6, "USDT", 300 * USDT)
        name = await rig.withdraw(6, "USDT", 50 * USDT)
        await rig.until(lambda: rig.stage(name), "failed:nonce")
        details = await rig.details(name)
        assert "FeeSpike" in details
        assert (await rig.row(name)).nonce is None
        assert await rig.record_cancellation(6, name)
        await rig.handle(name).execute_update("cancel")
        await rig.until(lambda: rig.state(name), "cancelled")


async def test_a_stuck_payment_pays_more_with_its_nonce_and_is_paid_once(quiet_rig: Rig) -> None:
    """Nine transactions, stored each, and then a person looks; one of them is mined, once."""
    rig = quiet_rig
    async with rig.worker(stuck_seconds=0.0):
        await rig.funded_customer(7, "USDT", 300 * USDT)
        nonce = await rig.hot_nonce()
        outside = await rig.coins(OUTSIDE, "USDT")
        await rig.rpc("evm_setAutomine", False)
        await rig.rpc("evm_setIntervalMining", 0)
        name = await rig.withdraw(7, "USDT", 50 * USDT)
        await rig.until(lambda: rig.stage(name), "failed:confirm")
        details = await rig.details(name)
        assert "StillStuck" in details
        stored = await rig.withdrawals.transactions(name)
        fees = [decode_signed(one.raw).max_fee for one in stored]
        assert [one.replacement for one in stored] == list(range(MAX_REPLACEMENTS + 1))
        assert {decode_signed(one.raw).nonce for one in stored} == {nonce}
        assert all(8 * more >= 9 * less for less, more in itertools.pairwise(fees))

        await rig.rpc("evm_setIntervalMining", 1)
        await rig.mine()
        await desk.retry(rig.settings, name, "blocks are mined again")
        await rig.until(lambda: rig.state(name), "settled")
    row = await rig.row(name)
    assert row.tx_hash == stored[-1].tx_hash
    assert await rig.coins(OUTSIDE, "USDT") - outside == 49 * USDT
    assert await rig.hot_nonce() == nonce + 1
    assert (await rig.audit(row.subject)).count("replaced") == MAX_REPLACEMENTS
