"""The worker of the task queues `settlement` and `wallet`: all workflows, and their steps.

Steps that need keys run in the process `wallet-signer`. Killing this process loses nothing: its
work is taken up by the next one after seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

import structlog
import uvloop
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.adjustment import AdjustmentActivities
from activities.fee_tiers import FeeTierActivities
from activities.history_export import HistoryExportActivities
from activities.ledger_care import LedgerCareActivities
from activities.market_change import MarketChangeActivities
from activities.reconciliation import ReconciliationActivities
from activities.settlement import SettlementActivities
from domain.fee_tiers import TierRequest
from domain.ledger_care import CareRequest
from domain.reconciliation import ReconcileRequest
from domain.settlement import SettlementState
from domain.workflow_history import ExportRequest
from infra.heartbeat import Heartbeat, rialto_version
from infra.metrics import MetricsServer
from infra.postgres import engine as postgres
from infra.postgres.adjustment_store import AdjustmentStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.fee_tier_store import FeeTierStore
from infra.postgres.history_archive import HistoryArchive
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.market_change_store import MarketChangeStore
from infra.postgres.reconciliation_log import ReconciliationLog
from infra.postgres.record_reader import RecordReader
from infra.postgres.retention import LedgerRetention
from infra.postgres.settlement_store import SettlementStore
from infra.redis.event_stream import EventReader
from infra.second_engine import SecondEngines
from infra.secret_box import SecretBox, history_key_path
from infra.settings import Settings
from infra.telemetry import configure_logging
from infra.temporal.client import connect
from infra.temporal.entities import EntityWorkflow
from infra.temporal.histories import WorkflowHistories
from infra.temporal.namespace import set_retention
from infra.temporal.schedules import ScheduledWorkflow
from infra.wallet.chain import EvmChain
from infra.wallet.coins import WalletCoins
from infra.wallet.keys import load_public
from infra.wallet.officers import pinned_path, verify_ed25519
from infra.wallet.pinned_officers import PinnedOfficers
from workers import engine_admin
from workers.alarm_wiring import WorkerAlarms
from workers.shard_engine import ShardEngine
from workers.stopping import stop_on_signals
from workers.wallet_wiring import utc_now, wire_wallet
from workers.wiring import Connections, Wiring
from workers.worker_care import WorkerCare
from workflows import fee_tiers, history_export, ledger_care, reconciliation, task_queues
from workflows.adjustment import AdjustmentWorkflow
from workflows.fee_tiers import FeeTiersWorkflow
from workflows.history_export import HistoryExportWorkflow
from workflows.ledger_care import LedgerCareWorkflow
from workflows.market_change import MarketChangeWorkflow
from workflows.reconciliation import ReconciliationWorkflow, reconciliation_workflow_id
from workflows.settlement import (
    SETTLEMENT_WORKFLOW,
    SettlementWorkflow,
    settlement_workflow_id,
)

PROCESS = "temporal-worker"
STICKY_TIMEOUT = timedelta(seconds=2)  # a killed worker's workflows move on after this
GRACE = timedelta(seconds=5)
_MANY = 100  # workflows at a time
_OURS = ("activities", "domain", "workflows")

_log = structlog.get_logger()


def wire_settlement(to: Connections) -> Wiring:
    """Return the worker of settlement and reconciliation, for all shards."""
    settings = to.settings
    shards = range(settings.shard_count)
    queries = {shard: engine_admin.connect(settings, "reader", shard) for shard in shards}
    engines = {
        shard: ShardEngine(queries[shard], engine_admin.connect(settings, "admin", shard))
        for shard in shards
    }
    settlement = SettlementActivities(
        SettlementStore(to.database),
        {shard: EventReader(to.redis, queries[shard], shard) for shard in shards},
        engines,
    )

    async def halt(shard: int, reason: str) -> None:
        await engines[shard].halt(reason)

    reconciling = ReconciliationActivities(
        RecordReader(to.database),
        SecondEngines(settings.engine_dir),
        WalletCoins(EvmChain(settings.chain_url), load_public(settings.data_dir).hot_address),
        ReconciliationLog(to.database),
        halt,
        settings.reconciliation_policy,
    )

    caring = LedgerCareActivities(
        LedgerRetention(to.database), ReconciliationLog(to.database), utc_now
    )

    adjusting = AdjustmentActivities(
        AdjustmentStore(
            to.database,
            LedgerStore(),
            AuditStore(),
            load_public(settings.data_dir).hot_address,
        ),
        PinnedOfficers(pinned_path(settings.data_dir)),
        verify_ed25519,
        lambda: int(time.time()),
    )

    changing = MarketChangeActivities(
        MarketChangeStore(to.database, AuditStore()),
        {shard: engine_admin.connect(settings, "admin", shard) for shard in shards},
        {shard: engine_admin.connect(settings, "treasury", shard) for shard in shards},
        PinnedOfficers(pinned_path(settings.data_dir)),
        verify_ed25519,
        lambda: int(time.time()),
    )

    exporting = HistoryExportActivities(
        WorkflowHistories(to.client),
        HistoryArchive(
            to.database, AuditStore(), SecretBox.from_file(history_key_path(settings.secrets_dir))
        ),
        utc_now,
    )

    tiers = FeeTierActivities(FeeTierStore(to.database), engines)

    def report() -> tuple[int | None, int | None, dict[str, object]]:
        sequences, lags = settlement.settled.values(), settlement.lag.values()
        return (
            min(sequences, default=None),
            max(lags, default=None),
            {"violations": sum(reconciling.violations.values())},
        )

    def concerns() -> list[str]:
        found = sum(reconciling.violations.values())
        return [f"reconciliation found {found} violations: `rialto verify`"] if found else []

    return Wiring(
        task_queue=task_queues.SETTLEMENT,
        workflows=(
            SettlementWorkflow,
            ReconciliationWorkflow,
            LedgerCareWorkflow,
            AdjustmentWorkflow,
            MarketChangeWorkflow,
            FeeTiersWorkflow,
            HistoryExportWorkflow,
        ),
        activities=(
            settlement.settle,
            settlement.halt_shard,
            reconciling.reconcile,
            caring.care,
            adjusting.load,
            adjusting.sign,
            adjusting.post,
            adjusting.expire,
            changing.load,
            changing.sign,
            changing.apply,
            changing.confirm,
            changing.expire,
            changing.abandon,
            tiers.assess,
            tiers.set_tiers,
            exporting.export,
        ),
        entities=tuple(settlement_entity(shard) for shard in shards),
        report=report,
        concerns=concerns,
        schedules=(*_reconciliations(shards), _care(settings), _export(settings), TIERS),
    )


def _reconciliations(shards: Iterable[int]) -> Iterator[ScheduledWorkflow]:
    """Yield, for each shard, the frequent run of what is new and the daily one of everything."""
    for shard in shards:
        for full in (False, True):
            every = reconciliation.FULL_EVERY_SECONDS if full else reconciliation.EVERY_SECONDS
            yield ScheduledWorkflow(
                schedule_id=reconciliation_workflow_id(shard, full=full),
                workflow=reconciliation.RECONCILIATION_WORKFLOW,
                argument=ReconcileRequest(shard, full=full),
                task_queue=task_queues.SETTLEMENT,
                every_seconds=every,
                run_timeout_seconds=max(900, every // 4),
            )


def _care(settings: Settings) -> ScheduledWorkflow:
    return ScheduledWorkflow(
        schedule_id=ledger_care.LEDGER_CARE_ID,
        workflow=ledger_care.LEDGER_CARE_WORKFLOW,
        argument=CareRequest(settings.ledger_retention_days),
        task_queue=task_queues.SETTLEMENT,
        every_seconds=ledger_care.EVERY_SECONDS,
    )


def _export(settings: Settings) -> ScheduledWorkflow:
    return ScheduledWorkflow(
        schedule_id=history_export.HISTORY_EXPORT_ID,
        workflow=history_export.HISTORY_EXPORT_WORKFLOW,
        argument=ExportRequest(settings.history_keep_days),
        task_queue=task_queues.SETTLEMENT,
        every_seconds=history_export.EVERY_SECONDS,
    )


TIERS = ScheduledWorkflow(
    schedule_id=fee_tiers.FEE_TIERS_ID,
    workflow=fee_tiers.FEE_TIERS_WORKFLOW,
    argument=TierRequest(),
    task_queue=task_queues.SETTLEMENT,
    every_seconds=fee_tiers.EVERY_SECONDS,
    offset_seconds=fee_tiers.AFTER_MIDNIGHT_SECONDS,
    run_timeout_seconds=6 * 3600,
)


def settlement_entity(shard: int) -> EntityWorkflow:
    """Return the shard's settlement workflow, which must always run."""
    return EntityWorkflow(
        workflow_id=settlement_workflow_id(shard),
        workflow=SETTLEMENT_WORKFLOW,
        argument=SettlementState(shard),
        task_queue=task_queues.SETTLEMENT,
        summary=f"Settlement of shard {shard}",
        details=(
            "Posts the engine's money events to the ledger, in order, each once. "
            "The ledger's cursor decides what is settled."
        ),
    )


WIRINGS: tuple[Callable[[Connections], Wiring], ...] = (wire_settlement, wire_wallet)


async def run(settings: Settings) -> None:
    """Work until a signal; steps that run get a few seconds to end."""
    stop = stop_on_signals()
    redis = Redis.from_url(settings.redis_url)
    database = postgres.create(settings.database_url, pool_size=10)
    try:
        client = await _connected(settings, stop)
        if client is None:
            return
        connections = Connections(settings, client, database, redis)
        wirings = [wire(connections) for wire in WIRINGS]
        alarms = WorkerAlarms(connections)
        heartbeat = Heartbeat(PROCESS, settings.run_dir, redis)
        async with AsyncExitStack() as stack:
            for wiring in wirings:
                await stack.enter_async_context(worker_of(client, wiring))
            care = WorkerCare(client, wirings, settings.temporal_retention_days)
            stack.callback(asyncio.create_task(care.run()).cancel)
            stack.callback(asyncio.create_task(alarms.watch.run()).cancel)
            metrics = MetricsServer(settings.metrics_port, alarms.gauges)
            stack.callback(metrics.close)
            _log.info("ready", task_queues=[wiring.task_queue for wiring in wirings])
            while not stop.is_set():
                await _beat(heartbeat, wirings, care, metrics.url)
                try:
                    await asyncio.wait_for(stop.wait(), timeout=1)
                except TimeoutError:
                    continue
            _log.info("stopping")
    finally:
        await database.dispose()
        await redis.aclose()


def worker_of(client: Client, wiring: Wiring) -> Worker:
    """Return the worker, with time limits that let a killed one's work go on within seconds.

    One that runs many activities at a time shares our modules between its
    runs, which the sandbox would import anew for each: that they are deterministic is the replay
    tests' to say, which import them anew. Workflow tasks beyond fifty wait at the server: here
    their time would run, and hundreds that all expire are done again and again.
    """
    restrictions = SandboxRestrictions.default
    if wiring.at_once > _MANY:
        restrictions = restrictions.with_passthrough_modules(*_OURS)
    return Worker(
        client,
        task_queue=wiring.task_queue,
        workflows=list(wiring.workflows),
        activities=list(wiring.activities),
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
        build_id=rialto_version(),  # else the SDK hashes every imported module: five seconds
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=GRACE,
        max_concurrent_activities=wiring.at_once,
        max_concurrent_workflow_tasks=50,
    )


async def _connected(settings: Settings, stop: asyncio.Event) -> Client | None:
    """Return a client as soon as the server answers; None when a signal comes first."""
    delay = 0.2
    while not stop.is_set():
        try:
            client = await connect(settings)
            await set_retention(client, settings.temporal_retention_days)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server is not ready
            _log.warning("temporal_unreachable", error=str(error)[:200], retry_seconds=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)
        else:
            return client
    return None


async def _beat(
    heartbeat: Heartbeat, wirings: Sequence[Wiring], care: WorkerCare, metrics_url: str
) -> None:
    sequence: int | None = None
    lag: int | None = None
    detail: dict[str, object] = {**care.detail(), "metrics": metrics_url}
    for wiring in wirings:
        if wiring.report is not None:
            own_sequence, own_lag, own_detail = wiring.report()
            sequence = own_sequence if own_sequence is not None else sequence
            lag = own_lag if own_lag is not None else lag
            detail |= own_detail
    await heartbeat.beat(sequence=sequence, lag=lag, detail=detail)


def main() -> None:
    """Run the process."""
    settings = Settings()
    configure_logging(PROCESS, settings.log_level, settings.log_format)
    uvloop.run(run(settings))


if __name__ == "__main__":
    main()
