"""Wires the wallet's activities to their adapters, for the worker of the queue `wallet`."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.chain_look import ChainLook
from activities.deposit import DepositActivities
from activities.hot_wallet import HotWalletActivities
from activities.nonce_care import NonceCare
from activities.officer_check import OfficerCheck
from activities.orphan_sweep import Kind, OrphanSweepActivities, SweepRequest, kinds_of
from activities.payment_chain import PaymentChain
from activities.payment_void import PaymentVoid
from activities.shard_transfer import ShardTransferActivities
from activities.transfer import TransferSteps
from activities.wallet_payment import WalletPayments
from activities.wallet_ports import ChainAdapter, Treasury
from activities.withdrawal_money import WithdrawalMoney
from activities.withdrawal_payment import WithdrawalPayment
from activities.withdrawal_review import WithdrawalReview
from activities.withdrawal_void import WithdrawalVoid
from domain.approval import Officer
from domain.hot_wallet import (
    HOT_WALLET_ID,
    HOT_WALLET_SUMMARY,
    HOT_WALLET_WORKFLOW,
    TendRequest,
)
from domain.reconciliation import Policy
from domain.screening import SANCTIONS
from infra.postgres import open_rows
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.reconciliation_log import ReconciliationLog
from infra.settings import Settings
from infra.temporal.entities import EntityWorkflow
from infra.wallet.block_store import BlockStore
from infra.wallet.builder import EvmTransactionBuilder
from infra.wallet.chain import EvmChain
from infra.wallet.deposit_store import DepositStore
from infra.wallet.hot_wallet_store import HotWalletStore
from infra.wallet.keys import load_public
from infra.wallet.nonce_rows import NonceRows
from infra.wallet.officers import pinned_path, verify_ed25519
from infra.wallet.pause_store import PauseStore
from infra.wallet.payment_store import PaymentStore
from infra.wallet.pinned_officers import PinnedOfficers
from infra.wallet.policy_facts import PolicyFactsReader
from infra.wallet.return_rules import ReturnRules
from infra.wallet.screening import Screener, screeners_of, who_is_asked, who_is_away
from infra.wallet.setup import CHAIN
from infra.wallet.shard_transfer_store import ShardTransferStore
from infra.wallet.transfer_store import TransferStore
from infra.wallet.withdrawal_store import WithdrawalStore
from infra.wallet.workflow_starter import TemporalStarter
from workers import engine_admin
from workers.wallet_queries import PARKED
from workers.wiring import Connections, Wiring
from workflows import task_queues
from workflows.deposit import DepositWorkflow
from workflows.hot_wallet import HotWalletWorkflow
from workflows.orphan_sweep import SWEEP_ID, SWEEP_SUMMARY, SWEEP_WORKFLOW, OrphanSweepWorkflow
from workflows.shard_transfer import ShardTransferWorkflow
from workflows.wallet_payment import WalletPaymentWorkflow
from workflows.withdrawal import WithdrawalWorkflow

_WEI_PER_GWEI = 10**9
AT_ONCE = 1_000  # steps: most of them only wait for the chain
SWEEP_IS_LATE_SECONDS = 120  # one that is well runs every quarter of a minute


@dataclass(frozen=True, slots=True)
class WalletAdapters:
    """Everything outside that the wallet's activities use; tests put their own in."""

    engine: AsyncEngine
    chain: ChainAdapter
    treasuries: dict[int, Treasury]
    hot_address: str
    cold_address: Callable[[], str]  # "" where none is pinned
    officers: Mapping[str, Officer]
    policy_facts: PolicyFactsReader
    screener: Screener  # of deposits' senders
    returns: ReturnRules  # of what is paid back to them
    starter: TemporalStarter
    gate: Callable[[], Awaitable[str]]
    max_fee: int  # wei a gas unit
    stuck_seconds: float  # how long a payment waits for a block before it pays more


def payment_gate(engine: AsyncEngine, policy: Policy) -> Callable[[], Awaitable[str]]:
    """Return what says why nothing may be paid: a pause, or the books differed when compared."""
    log, pauses = ReconciliationLog(engine), PauseStore(engine, AuditStore())

    async def gate() -> str:
        if (paused := await pauses.in_force()) is not None:
            return paused[0].told
        if policy is Policy.ALARM:
            return ""
        failing = await log.failing()
        return f"reconciliation found differences; {failing[0]}" if failing else ""

    return gate


def utc_now() -> dt.datetime:
    """Return the time, for the rules that compare it with an expiry."""
    return dt.datetime.now(dt.UTC)


def wire_wallet(to: Connections) -> Wiring:
    """Return the worker of deposits and withdrawals, for all shards."""
    settings = to.settings
    public = load_public(settings.data_dir)

    chain = EvmChain(settings.chain_url)
    screeners = screeners_of(settings)

    async def connected() -> Client:
        return to.client

    wiring = wiring_of(
        WalletAdapters(
            engine=to.database,
            chain=chain,
            treasuries={
                shard: engine_admin.connect(settings, "treasury", shard)
                for shard in range(settings.shard_count)
            },
            hot_address=public.hot_address,
            cold_address=lambda: load_public(settings.data_dir).cold_address or "",
            officers=PinnedOfficers(pinned_path(settings.data_dir)),
            policy_facts=PolicyFactsReader(to.database, public.hot_address, screeners),
            screener=screeners[SANCTIONS],
            returns=return_rules(settings, to.database, chain, screeners[SANCTIONS]),
            starter=TemporalStarter(connected, task_queues.WALLET),
            gate=payment_gate(to.database, settings.reconciliation_policy),
            max_fee=settings.withdrawal_max_fee_gwei * _WEI_PER_GWEI,
            stuck_seconds=settings.withdrawal_stuck_seconds,
        )
    )
    return _telling_who_is_asked(wiring, screeners)


def _telling_who_is_asked(wiring: Wiring, screeners: Mapping[str, Screener]) -> Wiring:
    """Return the wiring whose heartbeat says who screens, and whose concerns say who is away."""
    report, concerns = wiring.report, wiring.concerns
    assert report is not None

    def told() -> tuple[int | None, int | None, dict[str, object]]:
        sequence, lag, detail = report()
        return sequence, lag, {**detail, "asked": who_is_asked(screeners)}

    return replace(wiring, report=told, concerns=lambda: [*concerns(), *who_is_away(screeners)])


def return_rules(
    settings: Settings, engine: AsyncEngine, chain: EvmChain, screener: Screener | None = None
) -> ReturnRules:
    """Return the rules about paying a deposit back to its sender."""
    return ReturnRules(
        engine,
        chain,
        screener or screeners_of(settings)[SANCTIONS],
        settings.data_dir,
        load_public(settings.data_dir).hot_address,
    )


def wiring_of(adapters: WalletAdapters) -> Wiring:
    """Return the workflows and activities around `adapters`."""
    ledger, audit, hot = LedgerStore(), AuditStore(), adapters.hot_address
    withdrawals = WithdrawalStore(adapters.engine, ledger, audit)
    deposits = DepositStore(adapters.engine, ledger, audit)
    transfers = TransferStore(adapters.engine, ledger)
    steps = TransferSteps(transfers, adapters.treasuries)
    officers = OfficerCheck(adapters.officers, verify_ed25519, utc_now)
    review = WithdrawalReview(withdrawals, officers=officers, policy_facts=adapters.policy_facts)
    money = WithdrawalMoney(withdrawals, transfers, steps)
    builder = EvmTransactionBuilder(adapters.hot_address)
    blocks = BlockStore(adapters.engine, audit)
    look = ChainLook(adapters.chain, blocks, CHAIN)  # one for all who wait
    on_chain = PaymentChain(
        withdrawals,
        blocks,
        adapters.chain,
        look,
        adapters.hot_address,
        adapters.max_fee,
        adapters.stuck_seconds,
    )
    payment = WithdrawalPayment(
        withdrawals,
        on_chain,
        adapters.chain,
        builder,
        adapters.hot_address,
        adapters.gate,
        review.objection,
        officers,
    )
    void = WithdrawalVoid(
        withdrawals,
        adapters.chain,
        builder,
        on_chain,
        hot_address=adapters.hot_address,
        officers=officers,
    )
    deposit = DepositActivities(deposits, transfers, steps, adapters.chain, look, adapters.screener)
    shard_transfers = ShardTransferStore(adapters.engine, ledger)
    between = ShardTransferActivities(shard_transfers, steps)
    payments = PaymentStore(adapters.engine, ledger, audit)
    own = WalletPayments(
        payments,
        on_chain,
        adapters.chain,
        builder,
        adapters.gate,
        officers,
        adapters.returns,
        utc_now,
    )
    own_void = PaymentVoid(payments, builder, on_chain, officers)
    tending = HotWalletActivities(
        HotWalletStore(adapters.engine, audit),
        payments,
        adapters.chain,
        builder,
        adapters.starter,
        adapters.gate,
        name=CHAIN,
        hot_address=hot,
        cold_address=adapters.cold_address,
        max_fee=adapters.max_fee,
    )
    sweep = OrphanSweepActivities(
        sweep_kinds(adapters.engine),
        withdrawals,
        adapters.starter,
        nonce_care(adapters.engine, adapters.chain, adapters.hot_address).send_again,
    )
    return Wiring(
        task_queue=task_queues.WALLET,
        workflows=(
            DepositWorkflow,
            WithdrawalWorkflow,
            ShardTransferWorkflow,
            WalletPaymentWorkflow,
            HotWalletWorkflow,
            OrphanSweepWorkflow,
        ),
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
            payment.replacement_order,
            payment.replace,
            payment.check_reverted,
            payment.report_reverted,
            void.begin,
            void.watch,
            void.order,
            void.send,
            void.check,
            deposit.load,
            deposit.announce,
            deposit.confirm,
            deposit.credit,
            between.load,
            between.take,
            between.give,
            between.give_back,
            own.load,
            own.order,
            own.allocate_nonce,
            own.store_signed,
            own.broadcast,
            own.confirm,
            own.replacement_order,
            own.replace,
            own_void.record,
            own_void.begin,
            own_void.watch,
            own_void.order,
            own_void.send,
            tending.tend,
            sweep.sweep,
        ),
        entities=(
            EntityWorkflow(
                SWEEP_ID, SWEEP_WORKFLOW, SweepRequest(), task_queues.WALLET, SWEEP_SUMMARY
            ),
            EntityWorkflow(
                HOT_WALLET_ID,
                HOT_WALLET_WORKFLOW,
                TendRequest(),
                task_queues.WALLET,
                HOT_WALLET_SUMMARY,
            ),
        ),
        retired=(SWEEP_ID,),  # it was a schedule once
        report=lambda: (None, None, {"last_good_sweep_at": sweep.last_good_at}),
        concerns=lambda: [*_concerns(sweep), *tending.concerns],
        parked=PARKED,
        at_once=AT_ONCE,
    )


def nonce_care(engine: AsyncEngine, chain: ChainAdapter, hot_address: str) -> NonceCare:
    """Return what looks after the hot wallet's nonces."""
    rows = NonceRows(engine, CHAIN, hot_address)
    return NonceCare(rows, BlockStore(engine, AuditStore()), chain)


def sweep_kinds(engine: AsyncEngine) -> tuple[Kind, ...]:
    """Return the kinds of business rows that the sweep looks after."""
    return kinds_of(
        withdrawals=open_rows.withdrawals(engine),
        deposits=open_rows.deposits(engine),
        shard_transfers=open_rows.shard_transfers(engine),
        wallet_payments=open_rows.wallet_payments(engine),
        adjustments=open_rows.adjustments(engine),
        market_changes=open_rows.market_changes(engine),
    )


def _concerns(sweep: OrphanSweepActivities) -> list[str]:
    """Return what is wrong with the sweep, as far as this worker runs it."""
    if sweep.failure:
        return [f"the orphan sweep fails: {sweep.failure}"]
    if sweep.last_good_at is not None and time.time() - sweep.last_good_at > SWEEP_IS_LATE_SECONDS:
        return [f"no orphan sweep for {SWEEP_IS_LATE_SECONDS} s"]
    return []
