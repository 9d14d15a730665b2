"""What two officers decide about a perpetual: its terms, its end, cash for the insurance fund."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.market_change import ChangeState, MarketChange
from domain.order import SymbolState
from domain.perpetual_state import PerpetualState
from domain.risk_commands import FUND_ACCOUNT, SetPerpetualState, Trigger
from infra.postgres.audit_store import AuditStore
from infra.postgres.markets import MarketStore
from tests.workflows.market_rig import TERMS, MarketRig, market_rig
from workers import market_desk, perpetual_desk
from workers.cli import kill_switch
from workers.officer_desk import DeskError

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
    """Refused while it is open; halted first, two signatures put it into SETTLEMENT for ever."""
    symbol_id = (await _now(rig)).symbol_id
    change = await perpetual_desk.propose_settlement(rig.database, rig.settings, NAME, WANTED)
    refused: MarketChange = await rig.sign_both(change)
    assert (refused.state, refused.failure) == (ChangeState.PROPOSED, "state unchanged")
    admin = rig.door("admin")
    await admin.submit(SetPerpetualState(symbol_id, Trigger.HALT, "marta", "it ends"))
    await admin.close()
    handle = rig.client.get_workflow_handle(f"market-change-{change.change_id}")
    await handle.execute_update("retry", {})
    ended = await rig.until(change, lambda now: now.state is ChangeState.APPLIED)
    assert (await _now(rig)).phase is PerpetualState.SETTLEMENT
    records = await _records(rig, f"market-{symbol_id}")
    assert ("marta", "halted") in records
    assert records[-1][1] == "settlement" or (ended.proposed_by, "settlement") in records
