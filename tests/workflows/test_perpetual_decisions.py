"""What two officers decide about a perpetual: its terms, its end, cash for the insurance fund."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.market_change import ChangeState, MarketChange
from domain.order import SymbolState
from domain.perpetual_state import PerpetualState
from domain.risk_commands import FUND_ACCOUNT, SetPerpetualState, Trigger
from infra.postgres.audit_store import AuditStore
from infra.postgres.markets import MarketStore
from tests.workers.cli.verbs import run_verbs
from tests.workflows.market_rig import TERMS, MarketRig, market_rig
from workers import market_desk, perpetual_desk
from workers.cli import kill_switch
from workers.officer_desk import DeskError, OpenWork, open_work, retry
from workers.wallet_queries import OPEN_WORK

pytestmark = pytest.mark.servers

NAME = "ETH/USDT-PERP"
FILE: dict[str, Any] = {
    "brackets": [{"floor": "0", "maintenance_ppm": 10_000, "initial_ppm": 20_000}],
    "cap": "10000000",
    "impact": "1000",
    "max_leverage": 50,
}
WANTED = market_desk.Wanted("decided")


@pytest.fixture
async def rig(fresh_database: str, temporal: str) -> AsyncIterator[MarketRig]:
    """Give an exchange on which a perpetual is listed."""
    async with market_rig(fresh_database, temporal) as rig, rig.worker():
        terms = {**TERMS, "listing_price": "2500", "band_ppm": 50_000, "perpetual": FILE}
        listed = await market_desk.propose_listing(
            rig.database, rig.settings, NAME, 0, terms, {}, WANTED
        )
        assert (await rig.sign_both(listed)).state is ChangeState.APPLIED
        yield rig


async def _now(rig: MarketRig) -> Any:
    door = rig.door()
    try:
        (found,) = (await door.perpetuals())[1]
        return found
    finally:
        await door.close()


async def _records(rig: MarketRig, subject: str) -> list[tuple[str, str]]:
    async with rig.database.connect() as conn:
        found = await AuditStore().read(conn, subject)
        return [(record.actor, record.action) for record in found]


async def _applied(rig: MarketRig, change: MarketChange) -> MarketChange:
    signed: MarketChange = await rig.sign_both(change)
    assert (signed.state, signed.failure) == (ChangeState.APPLIED, "")
    assert signed.sequence is not None
    return signed


async def test_terms_change_by_two_signatures_and_the_rest_stays(rig: MarketRig) -> None:
    """One command, the row follows; what the file leaves out is as it was."""
    change = await perpetual_desk.propose_risk(
        rig.database, rig.settings, NAME, {"max_leverage": 20, "impact": "2000"}, WANTED
    )
    assert change.summary() == (
        f"set the risk terms of {NAME}: impact_units 1000000000 -> 2000000000, "
        "max_leverage 50 -> 20"
    )
    await _applied(rig, change)
    market = (await MarketStore(rig.database).listings()).market(NAME)
    assert market is not None
    assert market.instrument.terms is not None
    terms = market.instrument.terms
    assert (terms.max_leverage, terms.impact_units, terms.cap_units) == (20, 2 * 10**9, 10**13)
    subject = f"market-{market.instrument.symbol_id}"
    assert ("engine", "risk-parameters") in await _records(rig, subject)
    for document, words in (
        ({"max_leverage": 20}, "nothing would change"),
        ({"leverage": 20}, "a perpetual has no leverage"),
        ({"brackets": []}, "brackets"),
        ({"funding_interval_seconds": 7}, "terms of the perpetual"),
    ):
        with pytest.raises(DeskError, match=words):
            await perpetual_desk.propose_risk(rig.database, rig.settings, NAME, document, WANTED)
    with pytest.raises(DeskError, match="spot market"):
        await perpetual_desk.propose_risk(rig.database, rig.settings, "ETH/USDT", FILE, WANTED)


async def test_the_fund_is_topped_up_once(rig: MarketRig) -> None:
    """Cash of the house through the treasury's door, under the change's key, audited."""
    change = await perpetual_desk.propose_top_up(rig.database, rig.settings, NAME, "1234.5", WANTED)
    signed = await _applied(rig, change)
    reader = rig.door()
    _, fund = await reader.holdings(FUND_ACCOUNT)
    await reader.close()
    assert fund.scopes[0].cash_units == 1_234_500_000
    assert signed.sequence is not None
    assert await _records(rig, "fund-0") == [("engine", "topped-up")]
    for amount in ("0", "-1", "1.2345678", "much", "9" * 30):
        with pytest.raises(DeskError, match="amount"):
            await perpetual_desk.propose_top_up(rig.database, rig.settings, NAME, amount, WANTED)


async def test_the_kill_switch_halts_and_resumes_a_perpetual(rig: MarketRig) -> None:
    """Its phase, which liquidations heed, not only what orders it takes; audited."""
    said = ("marta", "a look")
    for mode, phase in (
        ("HALTED", PerpetualState.HALTED),
        ("NORMAL", PerpetualState.GUARDED),
        ("CANCEL_ONLY", PerpetualState.GUARDED),
        ("NORMAL", PerpetualState.GUARDED),
    ):
        (found,) = await kill_switch.carry_out(rig.settings, mode, None, NAME, said)
        assert found.done, (mode, found)
        now = await _now(rig)
        assert now.phase is phase
    reader = rig.door()
    states = {one.symbol_id: one.state for one in (await reader.status()).symbols}
    await reader.close()
    assert states[now.symbol_id] is SymbolState.OPEN


async def test_a_halted_market_is_ended_by_two(rig: MarketRig) -> None:
    """Refused when it is proposed for an open market; halted, two signatures end it for ever."""
    symbol_id = (await _now(rig)).symbol_id
    propose = perpetual_desk.propose_settlement
    with pytest.raises(DeskError, match="is guarded, and only a halted market can be ended"):
        await propose(rig.database, rig.settings, NAME, WANTED)
    admin = rig.door("admin")
    await admin.submit(SetPerpetualState(symbol_id, Trigger.HALT, "marta", "it ends"))
    change = await propose(rig.database, rig.settings, NAME, WANTED)
    await admin.submit(SetPerpetualState(symbol_id, Trigger.RESUME, "marta", "not yet"))
    refused: MarketChange = await rig.sign_both(change)
    assert (refused.state, refused.failure) == (ChangeState.PROPOSED, "state unchanged")
    parked = await _listed(rig, f"market-change-{change.change_id}", "failed:engine")
    assert parked.symbol == NAME
    assert await _changes_told(rig) == (
        f"* {change.change_id} proposed: end {NAME}: everybody is closed at its final index\n"
        "    parked: the engine refuses: state unchanged\n"
    )
    await admin.submit(SetPerpetualState(symbol_id, Trigger.HALT, "marta", "it ends"))
    await admin.close()
    assert await retry(rig.settings, parked.workflow_id, "it is halted") == ""
    ended = await rig.until(change, lambda now: now.state is ChangeState.APPLIED)
    assert (await _now(rig)).phase is PerpetualState.SETTLEMENT
    records = await _records(rig, f"market-{symbol_id}")
    assert ("marta", "halted") in records
    assert records[-1][1] == "settlement" or (ended.proposed_by, "settlement") in records
    with pytest.raises(DeskError, match="final settlement already"):
        await propose(rig.database, rig.settings, NAME, WANTED)


async def test_cash_for_the_fund_waits_for_no_change_of_the_market(rig: MarketRig) -> None:
    """Nor the other way round: they touch different things. A second top-up waits for the first."""
    top_up = perpetual_desk.propose_top_up
    money = await top_up(rig.database, rig.settings, NAME, "10", WANTED)
    wider = {"band_ppm": 60_000}
    rules = await market_desk.propose_rules(rig.database, rig.settings, NAME, wider, WANTED)
    with pytest.raises(DeskError, match="open top-up"):
        await top_up(rig.database, rig.settings, NAME, "20", WANTED)
    with pytest.raises(DeskError, match="open change"):
        await perpetual_desk.propose_risk(
            rig.database, rig.settings, NAME, {"max_leverage": 20}, WANTED
        )
    await _applied(rig, rules)
    await _applied(rig, money)


async def _listed(rig: MarketRig, workflow_id: str, stage: str) -> OpenWork:
    """Return a workflow as `rialto ops list` has it, once Temporal's list shows its stage."""
    deadline = time.monotonic() + 30
    while True:
        found = {one.workflow_id: one for one in await open_work(rig.settings, OPEN_WORK)}
        if workflow_id in found and found[workflow_id].stage == stage:
            return found[workflow_id]
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.2)


async def _changes_told(rig: MarketRig) -> str:
    """Return what `rialto market list --changes` says of what is open."""
    words = ["market", "list", "--changes", "--data", str(rig.settings.data_dir)]
    ((code, out, err),) = await asyncio.to_thread(run_verbs, [words])
    assert code == 0, err
    lines = out.splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if line.startswith("*"))
    return "".join(lines[first : first + 2])
