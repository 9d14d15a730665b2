"""Wires the wallet's activities to their adapters, for the worker of the queue `wallet`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)

from activities.deposit import DepositActivities
from activities.orphan_sweep import OrphanSweepActivities, SweepRequest
from activities.transfer import TransferSteps
from activities.wallet_ports import ChainAdapter, Treasury
from activities.withdrawal_money import WithdrawalMoney
from activities.withdrawal_payment import WithdrawalPayment
from activities.withdrawal_review import WithdrawalReview
from domain.approval import Officer
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.settings import Settings
from infra.wallet.builder import EvmTransactionBuilder
from infra.wallet.chain import EvmChain
from infra.wallet.deposit_store import BlockStore, DepositStore
from infra.wallet.keys import load_public
from infra.wallet.officers import load_officers, pinned_path, verify_ed25519
from infra.wallet.policy_facts import PolicyFactsReader
from infra.wallet.transfer_store import TransferStore
from infra.wallet.withdrawal_store import WithdrawalStore
from infra.wallet.workflow_starter import TemporalStarter
from workflows import task_queues
from workflows.deposit import DepositWorkflow
from workflows.orphan_sweep import SWEEP_EVERY, SWEEP_SCHEDULE, OrphanSweepWorkflow
from workflows.withdrawal import WithdrawalWorkflow

WALLET_WORKFLOWS: Sequence[type] = (DepositWorkflow, WithdrawalWorkflow, OrphanSweepWorkflow)


@dataclass(frozen=True, slots=True)
class WalletAdapters:
    """Everything outside that the wallet's activities use; tests put their own in."""

    engine: AsyncEngine
    chain: ChainAdapter
    treasuries: dict[int, Treasury]
    hot_address: str
    officers: dict[str, Officer]
    policy_facts: PolicyFactsReader
    starter: TemporalStarter


@dataclass(frozen=True, slots=True)
class WalletWiring:
    """What a worker of the queue `wallet` runs."""

    workflows: Sequence[type]
    activities: Sequence[Callable[..., Any]]


def utc_now() -> dt.datetime:
    """Return the time, for the rules that compare it with an expiry."""
    return dt.datetime.now(dt.UTC)


async def wire_wallet(
    settings: Settings, engine: AsyncEngine, client: Client, stack: AsyncExitStack
) -> WalletWiring:
    """Open the wallet's adapters (closed by `stack`) and return what the worker runs."""
    from infra.engine_grpc import EngineGrpc

    public = load_public(settings.data_dir)
    chain = EvmChain(settings.chain_url)
    stack.push_async_callback(chain.close)
    token = json.loads((settings.secrets_dir / "engine-tokens.json").read_text())["treasury"]
    treasuries: dict[int, Treasury] = {}
    for shard in range(settings.shard_count):
        door = EngineGrpc(settings.engine_grpc_target(shard), role="treasury", token=token)
        stack.push_async_callback(door.close)
        treasuries[shard] = door

    async def connected() -> Client:
        return client

    adapters = WalletAdapters(
        engine=engine,
        chain=chain,
        treasuries=treasuries,
        hot_address=public.hot_address,
        officers=load_officers(pinned_path(settings.data_dir)),
        policy_facts=PolicyFactsReader(engine, settings.data_dir, public.hot_address),
        starter=TemporalStarter(connected, task_queues.WALLET),
    )
    return wiring_of(adapters)


def wiring_of(adapters: WalletAdapters) -> WalletWiring:
    """Return the workflows and activities around `adapters`."""
    ledger, audit = LedgerStore(), AuditStore()
    withdrawals = WithdrawalStore(adapters.engine, ledger, audit)
    deposits = DepositStore(adapters.engine, ledger, audit)
    transfers = TransferStore(adapters.engine, ledger)
    steps = TransferSteps(transfers, adapters.treasuries)
    review = WithdrawalReview(
        withdrawals,
        officers=adapters.officers,
        verify=verify_ed25519,
        policy_facts=adapters.policy_facts,
        now=utc_now,
    )
    money = WithdrawalMoney(withdrawals, transfers, steps)
    payment = WithdrawalPayment(
        withdrawals,
        BlockStore(adapters.engine, audit),
        adapters.chain,
        EvmTransactionBuilder(adapters.hot_address),
        adapters.hot_address,
    )
    deposit = DepositActivities(deposits, transfers, steps, adapters.chain)
    sweep = OrphanSweepActivities(withdrawals, deposits, adapters.starter)
    return WalletWiring(
        workflows=WALLET_WORKFLOWS,
        activities=(
            review.load,
            review.screen,
            review.record_decision,
            review.conclude_approval,
            review.note,
            money.hold,
            money.take,
            money.begin_release,
            money.release,
            money.settle,
            payment.signing_order,
            payment.allocate_nonce,
            payment.store_signed,
            payment.broadcast,
            payment.confirm,
            deposit.load,
            deposit.announce,
            deposit.confirm,
            deposit.credit,
            sweep.sweep,
        ),
    )


async def ensure_sweep_schedule(client: Client) -> None:
    """Create the schedule of the orphan sweep; one that exists is left as it is."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            OrphanSweepWorkflow.run,
            SweepRequest(),
            id=SWEEP_SCHEDULE,
            task_queue=task_queues.WALLET,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=SWEEP_EVERY)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=2 * SWEEP_EVERY),
    )
    try:
        await client.create_schedule(SWEEP_SCHEDULE, schedule)
    except ScheduleAlreadyRunningError:
        return
