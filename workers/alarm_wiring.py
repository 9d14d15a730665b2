"""Wires the alarms of the worker: where they are looked for, where they go, and the metrics."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from domain.alarm import AlarmKind
from domain.checker_report import Violation
from domain.hot_wallet import band_concerns
from domain.ledger import settlement_stream
from infra.alarm_senders import MailSender, WebhookSender
from infra.engine_grpc import EngineGrpc, EngineStatus
from infra.metrics import Gauge
from infra.postgres import tables
from infra.postgres.alarm_store import AlarmStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.reading import reading
from infra.postgres.reconciliation_log import ReconciliationLog
from infra.settings import Settings
from infra.wallet.chain import EvmChain
from infra.wallet.deposit_rows import reversed_deposits
from infra.wallet.hot_wallet_store import HotWalletStore
from infra.wallet.keys import load_public
from infra.wallet.setup import CHAIN
from workers import engine_admin
from workers.alarm_watch import (
    AlarmWatch,
    Sender,
    band_source,
    halt_source,
    lag_source,
    nonce_gap_source,
    parked_source,
    reconciliation_source,
    reversed_source,
)
from workers.wallet_wiring import nonce_care
from workers.wiring import Connections


@dataclass
class _Seen:
    """What the last round saw, for whoever reads the metrics."""

    statuses: dict[int, EngineStatus] = field(default_factory=dict)
    cursors: dict[int, int] = field(default_factory=dict)
    invariants: dict[int, Mapping[str, bool]] = field(default_factory=dict)


class WorkerAlarms:
    """The watch over one exchange, and its figures."""

    def __init__(self, to: Connections) -> None:
        settings = to.settings
        self._seen = _Seen()
        self._database = to.database
        self._log = ReconciliationLog(to.database)
        self._engines: dict[int, EngineGrpc] = {
            shard: engine_admin.connect(settings, "reader", shard)
            for shard in range(settings.shard_count)
        }
        store = AlarmStore(to.database, settings.temporal_ui_url, settings.temporal_namespace)
        sources = {
            AlarmKind.RECONCILIATION: reconciliation_source(self._newest),
            AlarmKind.PARKED: parked_source(to.client),
            AlarmKind.SETTLEMENT_LAG: lag_source(self._cursors, self._statuses, time.monotonic),
            AlarmKind.ENGINE_HALTED: halt_source(self._statuses),
            AlarmKind.HOT_WALLET: band_source(self._below_floor),
            AlarmKind.DEPOSIT_REVERSED: reversed_source(lambda: reversed_deposits(to.database)),
            AlarmKind.NONCE_GAP: nonce_gap_source(
                nonce_care(
                    to.database,
                    EvmChain(settings.chain_url),
                    load_public(settings.data_dir).hot_address,
                ).find,
                time.monotonic,
            ),
        }
        self.watch = AlarmWatch(store, sources, senders_of(settings))

    async def _newest(self) -> dict[int, tuple[list[Violation], dict[str, bool]]]:
        newest = await self._log.newest()
        self._seen.invariants = {shard: holds for shard, (_, holds) in newest.items()}
        return newest

    async def _below_floor(self) -> list[tuple[str, str]]:
        store = HotWalletStore(self._database, AuditStore())
        return band_concerns(await store.bands(CHAIN), await store.holdings(CHAIN))

    async def _statuses(self) -> dict[int, EngineStatus]:
        found = {shard: await engine.status() for shard, engine in self._engines.items()}
        self._seen.statuses = found
        return found

    async def _cursors(self) -> dict[int, int]:
        names = {settlement_stream(shard): shard for shard in self._engines}
        row = tables.cursor.c
        async with reading(self._database) as conn:
            rows = await conn.execute(
                sa.select(row.stream, row.last_sequence).where(row.stream.in_(names))
            )
            self._seen.cursors = {names[found.stream]: found.last_sequence for found in rows}
        return self._seen.cursors

    def gauges(self) -> Iterable[Gauge]:
        """Yield the figures as the last round saw them."""
        for shard, status in self._seen.statuses.items():
            yield from _of_shard(shard, status, self._seen.cursors.get(shard, 0))
        parked = sum(alarm.kind == AlarmKind.PARKED for alarm in self.watch.open)
        yield Gauge("rialto_parked_workflows", "Workflows that wait for a decision.", parked, {})
        for acked in (False, True):
            count = sum(bool(alarm.acked_by) is acked for alarm in self.watch.open)
            labels = {"acked": str(acked).lower()}
            yield Gauge("rialto_open_alarms", "Open alarms, by acknowledgement.", count, labels)
        for shard, holds in self._seen.invariants.items():
            for name, holding in holds.items():
                labels = {"shard": str(shard), "invariant": name}
                text = "1 where the newest reconciliation found it broken."
                yield Gauge("rialto_invariant_broken", text, not holding, labels)


def _of_shard(shard: int, status: EngineStatus, settled: int) -> Iterable[Gauge]:
    labels = {"shard": str(shard)}
    acked = status.sequence if status.ack_policy == "os" else status.durable_sequence
    for name, text, value in (
        (
            "rialto_settlement_lag_commands",
            "Durable commands not settled.",
            max(0, status.durable_sequence - settled),
        ),
        ("rialto_settled_sequence", "Last settled command.", settled),
        ("rialto_acknowledged_sequence", "Last command that may be acknowledged.", acked),
        ("rialto_shard_mode", "0 trades, 1 takes cancels only, 2 halted.", int(status.mode)),
    ):
        yield Gauge(name, text, value, labels)


def senders_of(settings: Settings) -> list[Sender]:
    """Return where alarms go by the settings; nowhere but the table when none is set."""
    found: list[Sender] = []
    if settings.alarm_webhook_url:
        found.append(WebhookSender(settings.alarm_webhook_url))
    if settings.alarm_smtp_url and settings.alarm_mail_to:
        found.append(
            MailSender(settings.alarm_smtp_url, settings.alarm_mail_from, settings.alarm_mail_to)
        )
    return found
