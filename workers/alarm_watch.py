"""Looks for what people must look at, again and again, and tells them once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import structlog
from temporalio.client import Client

from domain.alarm import (
    LIQUIDATION_RUNBOOK,
    MARKET_RUNBOOK,
    SETTLEMENT_RUNBOOK,
    Alarm,
    AlarmKind,
    Condition,
    Severity,
)
from domain.checker_report import Violation
from domain.deposit import Deposit
from domain.hot_wallet import HOT_WALLET_ID
from domain.market_change import MARKET_CHANGE_WORKFLOW
from domain.money import text_from_units
from domain.nonce_gap import NonceGap
from domain.order import ShardMode
from infra.engine_grpc import EngineStatus
from infra.postgres.alarm_store import AlarmStore
from infra.temporal.runs import OPEN, list_runs
from workers.wallet_queries import ANY_PARKED, PARKED, PARKED_RISK
from workflows.reconciliation import reconciliation_workflow_id
from workflows.search_attributes import STAGE
from workflows.settlement import settlement_workflow_id

ROUND_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_LAG_SECONDS = 10.0
_GAP_SECONDS = 20.0  # one turn of the sweep, which sends again, and some
_MOST_OF_A_KIND = 100
_PARKED_SETTLEMENT = f"{OPEN} AND WorkflowType = 'SettlementWorkflow' AND Stage = 'failed:settle'"
_PARKED_CHANGES = f"{ANY_PARKED} AND WorkflowType = '{MARKET_CHANGE_WORKFLOW}'"

Source = Callable[[], Awaitable[Sequence[Condition]]]
_log = structlog.get_logger()


class Sender(Protocol):
    """Takes an alarm out of the house."""

    name: str

    async def send(self, alarm: Alarm) -> None:
        """Send, or raise."""


class AlarmWatch:
    """One round: ask all sources, bring the alarms to what they found, send the new ones.

    A source that fails leaves its alarms as they are; a sender that fails gets them again.
    """

    def __init__(
        self, store: AlarmStore, sources: Mapping[AlarmKind, Source], senders: Sequence[Sender]
    ) -> None:
        self._store = store
        self._sources = sources
        self._senders = senders
        self.open: list[Alarm] = []

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - the next round repeats it
                _log.warning("alarm_round_failed", error=str(error)[:200])
            await asyncio.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """Look once."""
        kinds: list[AlarmKind] = []
        found: list[Condition] = []
        for kind, source in self._sources.items():
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    conditions = await source()
            except Exception as error:  # noqa: BLE001 - a source that is away says nothing
                _log.warning("alarm_source_failed", kind=kind, error=str(error)[:200])
            else:
                kinds.append(kind)
                found += conditions
        raised = await self._store.sync(kinds, found)
        if raised:
            _log.error("alarms_raised", alarm=True, count=raised)
        self.open = await self._store.open()
        for sender in self._senders:
            await self._deliver(sender)

    async def _deliver(self, sender: Sender) -> None:
        for alarm in await self._store.unsent(sender.name):
            try:
                await sender.send(alarm)
            except Exception as error:  # noqa: BLE001 - it is tried again next time
                _log.warning("alarm_not_sent", sender=sender.name, error=str(error)[:200])
                return
            await self._store.mark_sent(alarm.alarm_id, sender.name)


def reconciliation_source(
    newest: Callable[[], Awaitable[Mapping[int, tuple[Sequence[Violation], object]]]],
) -> Source:
    """Return what finds the differences of each shard's newest run."""

    async def find() -> list[Condition]:
        return [
            Condition(
                AlarmKind.RECONCILIATION,
                " ".join((f"shard {shard}:", violation.invariant, _place(violation))).strip(),
                Severity.CRITICAL,
                _difference(violation),
                reconciliation_workflow_id(shard),
            )
            for shard, (violations, _) in (await newest()).items()
            for violation in violations[:_MOST_OF_A_KIND]
        ]

    return find


def _place(violation: Violation) -> str:
    return violation.account or violation.asset or ""


def _difference(violation: Violation) -> str:
    facts = (
        ("account", violation.account),
        ("asset", violation.asset),
        ("amount", violation.amount),
        ("first bad sequence", violation.sequence),
    )
    told = "; ".join(f"{name} {value}" for name, value in facts if value is not None)
    return f"{violation.invariant}: {violation.text} ({told})" if told else violation.text


def parked_source(client: Client) -> Source:
    """Return what finds workflows that wait for a decision."""

    async def find() -> list[Condition]:
        found = []
        for query, severity, runbook in (
            (_PARKED_SETTLEMENT, Severity.CRITICAL, SETTLEMENT_RUNBOOK),
            (PARKED_RISK, Severity.CRITICAL, LIQUIDATION_RUNBOOK),
            (PARKED, Severity.WARNING, ""),
            (_PARKED_CHANGES, Severity.WARNING, MARKET_RUNBOOK),
        ):
            async for run in list_runs(client, query):
                stage = run.attributes.get(STAGE) or ""
                found.append(
                    Condition(
                        AlarmKind.PARKED,
                        run.workflow_id,
                        severity,
                        f"{run.workflow_id} is parked at {stage.removeprefix('failed:')}",
                        run.workflow_id,
                        runbook,
                    )
                )
                if len(found) >= _MOST_OF_A_KIND:
                    return found
        return found

    return find


def lag_source(
    cursors: Callable[[], Awaitable[Mapping[int, int]]],
    statuses: Callable[[], Awaitable[Mapping[int, EngineStatus]]],
    clock: Callable[[], float],
) -> Source:
    """Return what finds shards whose ledger has been behind for ten seconds.

    A shard is behind from the moment its engine had made a command durable that is not settled.
    """
    owed: dict[int, tuple[int, float]] = {}  # shard -> (a command that was not settled, since)

    async def find() -> list[Condition]:
        settled, found, now = await cursors(), [], clock()
        for shard, status in (await statuses()).items():
            sequence, since = owed.get(shard, (0, now))
            if settled.get(shard, 0) >= sequence:  # that one is settled: look at the newest
                sequence, since = status.durable_sequence, now
                owed[shard] = (sequence, since)
            behind = status.durable_sequence - settled.get(shard, 0)
            if settled.get(shard, 0) < sequence and now - since >= _LAG_SECONDS:
                text = f"shard {shard}: {behind} commands not settled, for {now - since:.0f} s"
                workflow_id = settlement_workflow_id(shard)
                found.append(
                    Condition(
                        AlarmKind.SETTLEMENT_LAG,
                        f"shard {shard}",
                        Severity.CRITICAL,
                        text,
                        workflow_id,
                    )
                )
        return found

    return find


def halt_source(statuses: Callable[[], Awaitable[Mapping[int, EngineStatus]]]) -> Source:
    """Return what finds shards that do not trade."""

    async def find() -> list[Condition]:
        return [
            Condition(
                AlarmKind.ENGINE_HALTED,
                f"shard {shard}",
                Severity.CRITICAL,
                f"shard {shard} is {status.mode.name.lower()}, set by "
                f"{status.status.actor or 'nobody'}: {status.status.reason or '-'}",
            )
            for shard, status in (await statuses()).items()
            if status.mode is not ShardMode.NORMAL
        ]

    return find


def nonce_gap_source(
    find_gap: Callable[[], Awaitable[NonceGap | None]], clock: Callable[[], float]
) -> Source:
    """Return what finds a nonce that was given, and that the node has had nothing for, for long.

    Between nonce and broadcast there is always such a moment.
    """
    seen: dict[int, float] = {}  # nonce -> since when

    async def find() -> list[Condition]:
        gap, now = await find_gap(), clock()
        since = seen.get(gap.nonce, now) if gap else now
        seen.clear()
        if gap is None:
            return []
        seen[gap.nonce] = since
        if now - since < _GAP_SECONDS:
            return []
        return [
            Condition(
                AlarmKind.NONCE_GAP,
                f"nonce {gap.nonce}",
                Severity.CRITICAL,
                _gap_text(gap),
                gap.workflow_id,
            )
        ]

    return find


def band_source(concerns: Callable[[], Awaitable[Sequence[tuple[str, str]]]]) -> Source:
    """Return what finds assets of which the hot wallet has less than its floor."""

    async def find() -> list[Condition]:
        return [
            Condition(AlarmKind.HOT_WALLET, asset, Severity.WARNING, text, HOT_WALLET_ID)
            for asset, text in await concerns()
        ]

    return find


def _gap_text(gap: NonceGap) -> str:
    whose = f"of {gap.workflow_id} (at {gap.stage})" if gap.workflow_id else "that nothing has"
    what = "the node does not have its transaction" if gap.is_signed else "it was never signed"
    return (
        f"nonce {gap.nonce} of the hot wallet, {whose}: {what}; {gap.waiting} later ones wait "
        "behind it"
    )


def reversed_source(reversed_deposits: Callable[[], Awaitable[Sequence[Deposit]]]) -> Source:
    """Return what finds deposits that the chain has lost after they were booked."""

    async def find() -> list[Condition]:
        return [
            Condition(
                AlarmKind.DEPOSIT_REVERSED,
                found.deposit_id,
                Severity.CRITICAL,
                f"{found.deposit_id} of {text_from_units(found.amount, found.asset.chain_decimals)}"
                f" {found.asset.code} was {found.state} and is no longer in the chain",
                found.deposit_id,
            )
            for found in await reversed_deposits()
        ]

    return find
