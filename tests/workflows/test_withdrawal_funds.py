"""The hot wallet's funds: promised once, also to many at a time; and a payment that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from uuid import UUID

import pytest
import pytest_asyncio
from temporalio.client import WorkflowUpdateFailedError

from domain.approval import REJECT
from domain.checker_records import Opening
from domain.checker_report import Findings
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_wallet import CustomerWalletStore
from infra.postgres.reconciliation_log import ReconciliationLog
from tests.workflows.conftest import WalletServers
from tests.workflows.wallet_books import no_violation_of_the_wallet
from tests.workflows.wallet_parts import Gate
from tests.workflows.wallet_rig import Rig, build_rig
from workers import pause_desk as desk
from workers.officer_desk import DeskError
from workflows.parking import RetryRequest
from workflows.withdrawal_messages import DecisionResult

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT, ETH = 10**6, 10**18
REVERTS = "0x60006000fd"  # a contract that refuses every payment


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def poor(
    wallet_servers: WalletServers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Rig, Gate]]:
    """Give a rig whose hot wallet can pay three of six, and the gate of its worker."""
    async with AsyncExitStack() as stack:
        rig = await build_rig(
            stack,
            database_url=wallet_servers.database_url,
            chain_url=wallet_servers.chain_url,
            temporal=wallet_servers.temporal,
            data_dir=tmp_path_factory.mktemp("wallet"),
        )
        for asset, amount in {"USDT": 700 * USDT, "ETH": 2 * ETH}.items():
            await rig.fund(rig.wallet.public.hot_address, asset, amount)
        await rig.mine()
        gate = Gate()
        await stack.enter_async_context(rig.worker(gate))
        yield rig, gate


async def _stages(rig: Rig, names: list[str]) -> list[str]:
    return sorted([await rig.stage(name) for name in names])


async def test_funds_for_three_are_promised_to_three(poor: tuple[Rig, Gate]) -> None:
    """Six ask at once while blocks are mined: three are paid, three wait, none is reverted."""
    rig, _ = poor
    await rig.funded_customer(1, "USDT", 2_000 * USDT)
    names = [await rig.request(1, "USDT", 190 * USDT) for _ in range(6)]
    await asyncio.gather(*(rig.start(name) for name in names))

    async def rest() -> bool:
        await rig.mine(1)
        return set(await _stages(rig, names)) <= {"failed:nonce", "settled"}

    await rig.until(rest, True)
    assert await _stages(rig, names) == ["failed:nonce"] * 3 + ["settled"] * 3
    parked = [name for name in names if await rig.stage(name) == "failed:nonce"]
    details = await rig.details(parked[0])
    assert "HotWalletShort" in details

    await rig.fund(rig.wallet.public.hot_address, "USDT", 600 * USDT)
    for name in parked:
        await rig.handle(name).signal("retry_parked")
    await asyncio.gather(*(rig.until_settled(name) for name in parked))


async def _reverted(poor: tuple[Rig, Gate], customer_id: int, receiver: str) -> str:
    """Return a withdrawal whose transaction was mined and failed."""
    rig, gate = poor
    await rig.funded_customer(customer_id, "ETH", ETH)
    gate.close_after("store_signed")
    name = await rig.withdraw(customer_id, "ETH", ETH // 2, address=receiver)
    await asyncio.wait_for(gate.reached.wait(), 30)
    await rig.rpc("anvil_setCode", receiver, REVERTS)  # after the gas was estimated
    gate.opened.set()
    await rig.until(lambda: rig.state(name), "broadcast")
    await rig.mine()
    await rig.until(lambda: rig.stage(name), "failed:reverted")
    return name


async def test_payment_that_failed_is_given_back_by_an_officers_signature(
    poor: tuple[Rig, Gate],
) -> None:
    """No retry, no customer and no bare name releases it; the gas is booked, the money is back."""
    rig, _ = poor
    name = await _reverted(poor, 2, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
    row = await rig.row(name)
    assert row.state == "reverted"
    assert row.network_fee is not None
    assert await rig.balance("withdrawal:pending:ETH") == ETH // 2

    handle = rig.handle(name)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("cancel")
    await handle.execute_update("retry", RetryRequest("ops", "looked at it"))
    await rig.until(lambda: _times_parked(rig, name), 2)

    rejection = await rig.decision(name, officer="piero", action=REJECT)
    result = await handle.execute_update("reject", rejection, result_type=DecisionResult)
    assert result.state == "rejecting"
    await rig.until(lambda: rig.state(name), "rejected")
    assert await rig.balance("customer:2:trading.0:ETH") == ETH
    assert await rig.balance("withdrawal:pending:ETH") == 0
    actions = await rig.audit(row.subject)
    assert actions[actions.index("broadcast") :] == [
        "broadcast",
        "reverted",
        "parked",
        "resumed",
        "parked",
        "reject",
        "resumed",
        "rejecting",
        "release_begun",
        "rejected",
    ]


async def _times_parked(rig: Rig, name: str) -> int:
    return (await rig.audit(f"withdrawal-{name}")).count("parked")


async def test_checker_accepts_a_failed_payment_in_every_state(poor: tuple[Rig, Gate]) -> None:
    """Coins, gas and states agree while it is parked, and after the release."""
    rig, _ = poor
    name = await _reverted(poor, 3, "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359")
    await no_violation_of_the_wallet(rig)
    rejection = await rig.decision(name, action=REJECT)
    await rig.handle(name).execute_update("reject", rejection)
    await rig.until(lambda: rig.state(name), "rejected")
    await no_violation_of_the_wallet(rig)


async def test_nothing_is_paid_while_the_books_differ(poor: tuple[Rig, Gate]) -> None:
    """A run with a difference parks the next payment before its nonce; a clean one lets it go."""
    rig, _ = poor
    await rig.fund(rig.wallet.public.hot_address, "USDT", 100 * USDT)
    await rig.funded_customer(5, "USDT", 100 * USDT)
    log = ReconciliationLog(rig.engine)
    findings = Findings()
    findings.expect("engine_equals_ledger", False, "customer:1:trading.0:USDT differs", amount=3)
    await log.append(0, 7, findings.report(), Opening(), full=False)
    name = await rig.request(5, "USDT", 50 * USDT)
    await rig.start(name)
    await rig.until(lambda: rig.stage(name), "failed:nonce")
    details = await rig.details(name)
    assert "BooksDiffer" in details
    assert "customer:1:trading.0:USDT differs" in details
    await log.append(0, 8, Findings().report(), Opening(), full=False)
    await rig.handle(name).execute_update("retry", RetryRequest("ops", "mended"))
    await rig.until_settled(name)


async def test_a_pause_holds_payments_until_two_officers_let_them_go_on(
    poor: tuple[Rig, Gate],
) -> None:
    """It parks before the nonce, the signer refuses by itself, the customer may cancel."""
    rig, _ = poor
    await rig.fund(rig.wallet.public.hot_address, "USDT", 200 * USDT)
    await rig.funded_customer(6, "USDT", 200 * USDT)
    await desk.pause(rig.engine, rig.settings, "marta", "a key is missing")
    with pytest.raises(DeskError, match="paused by marta"):
        await desk.pause(rig.engine, rig.settings, "piero", "again")
    kept, given_up = (
        await rig.request(6, "USDT", 50 * USDT),
        await rig.request(6, "USDT", 60 * USDT),
    )
    for name in (kept, given_up):
        await rig.start(name)
        await rig.until(partial(rig.stage, name), "failed:nonce")
    wallet = CustomerWalletStore(rig.engine, AuditStore(), rig.wallet.public.deposit_address)
    shown = await wallet.withdrawal(6, UUID(kept))
    assert shown is not None
    assert shown.paused
    assert await rig.record_cancellation(6, given_up)
    await rig.handle(given_up).signal("cancel_requested")
    await rig.until(lambda: rig.state(given_up), "cancelled")

    assert not (await desk.resume(rig.engine, rig.settings, "marta")).ended
    with pytest.raises(DeskError, match="has signed already"):
        await desk.resume(rig.engine, rig.settings, "marta")
    assert (await desk.resume(rig.engine, rig.settings, "piero")).ended
    await rig.handle(kept).execute_update("retry", RetryRequest("ops", "resumed"))
    await rig.until_settled(kept)
    with pytest.raises(DeskError, match="not paused"):
        await desk.resume(rig.engine, rig.settings, "piero")
    assert (await rig.audit("hot-wallet")).count("resume_payments") == 2
