"""Reconcile engine, ledger and wallet at one sequence, while all of them go on.

The records are one consistent reading of the database with the settlement cursor at N; a second
engine is brought to exactly N. Nothing is paused, and nothing is compared "about N".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog
from temporalio import activity

from domain.audit import AuditRecord
from domain.checker import Checker
from domain.checker_records import (
    AccountRecord,
    Assets,
    ChainRecord,
    DepositRecord,
    EngineRecord,
    JournalRecord,
    Opening,
    TransferRecord,
    WalletFacts,
    WithdrawalRecord,
)
from domain.checker_report import CheckReport
from domain.reconciliation import ReconcileRequest, ReconcileResult

_log = structlog.get_logger()


class Reading(Protocol):
    """All records of one moment."""

    async def assets(self) -> Assets:
        """Return the listed assets."""

    async def cursor(self, shard: int) -> int:
        """Return the last settled sequence."""

    def journals(self, opening: Opening) -> AsyncIterator[JournalRecord]:
        """Yield the journals after `opening`, in order."""

    async def accounts(self) -> Sequence[AccountRecord]:
        """Return all accounts."""

    async def transfers(self) -> Sequence[TransferRecord]:
        """Return all transfers."""

    async def deposits(self) -> Sequence[DepositRecord]:
        """Return all deposits."""

    async def withdrawals(self) -> Sequence[WithdrawalRecord]:
        """Return all withdrawals."""

    async def audit(self) -> Sequence[AuditRecord]:
        """Return the audit log."""

    async def wallet_facts(self) -> Sequence[WalletFacts]:
        """Return what the wallet's rows say of each chain."""


class Records(Protocol):
    """Opens readings."""

    def reading(self) -> AbstractAsyncContextManager[Reading]:
        """Give one consistent reading."""


class SecondEngine(Protocol):
    """Rebuilds a shard's engine from snapshot and journal."""

    async def at(self, shard: int, sequence: int) -> EngineRecord:
        """Return the state after exactly `sequence`, or as near before it as there are records."""


class Coins(Protocol):
    """Asks a chain how many coins the wallet has."""

    async def at(self, facts: WalletFacts) -> Sequence[ChainRecord]:
        """Return the coins of each wallet account at the facts' block; empty: cannot be known."""


class RunLog(Protocol):
    """Remembers runs."""

    async def last_clean(self, shard: int) -> Opening:
        """Return where the newest clean run ended; empty before the first."""

    async def append(
        self, shard: int, sequence: int, report: CheckReport, closing: Opening
    ) -> None:
        """Store one run."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One check: the report, the sequence of each shard, and where the next one may begin."""

    report: CheckReport
    sequences: Mapping[int, int]
    closing: Opening


async def check_exchange(
    records: Records,
    engines: SecondEngine,
    coins: Coins | None,
    shards: Sequence[int],
    opening: Opening,
) -> Checked:
    """Read everything after `opening` at one moment and check it, with an engine per shard.

    The chain is asked for the last block that the watcher had read at that moment.
    """
    async with records.reading() as reading:
        checker = Checker(await reading.assets(), opening)
        cursors = {shard: await reading.cursor(shard) for shard in shards}
        async for journal in reading.journals(opening):
            checker.journal(journal)
        checker.accounts(await reading.accounts())
        checker.transfers(await reading.transfers())
        checker.deposits(await reading.deposits())
        checker.withdrawals(await reading.withdrawals())
        checker.audit(await reading.audit())
        facts = await reading.wallet_facts()
    for shard, sequence in cursors.items():
        checker.cursor(shard, sequence)
        checker.engine(await engines.at(shard, sequence), sequence)
    if coins is not None:
        for of_chain in facts:
            checker.chain(await coins.at(of_chain))
    return Checked(checker.report(), cursors, checker.closing())


class ReconciliationActivities:
    """The activity of the reconciliation schedule."""

    def __init__(self, records: Records, engines: SecondEngine, coins: Coins, log: RunLog) -> None:
        self._records = records
        self._engines = engines
        self._coins = coins
        self._log = log
        self.violations = 0  # of the last run, for the heartbeat

    @activity.defn(name="reconcile")
    async def reconcile(self, request: ReconcileRequest) -> ReconcileResult:
        """Check everything since the last clean run; violations are an alarm, not an error."""
        shard = request.shard
        opening = await self._log.last_clean(shard)
        checked = await check_exchange(self._records, self._engines, self._coins, [shard], opening)
        report, sequence = checked.report, checked.sequences[shard]
        await self._log.append(shard, sequence, report, checked.closing)
        self.violations = report.violation_count
        for violation in report.violations[:20]:
            _log.error(
                "reconciliation_violation",
                alarm=True,
                shard=shard,
                invariant=violation.invariant,
                text=violation.text,
                account=violation.account,
                asset=violation.asset,
                amount=violation.amount,
                sequence=violation.sequence,
            )
        _log.info(
            "reconciled",
            shard=shard,
            sequence=sequence,
            violations=report.violation_count,
            rows=sum(invariant.rows for invariant in report.invariants),
        )
        return ReconcileResult(
            shard=shard,
            sequence=sequence,
            rows=sum(invariant.rows for invariant in report.invariants),
            violations=report.violation_count,
            broken=[invariant.name for invariant in report.invariants if not invariant.ok],
            first=report.violations[0].text if report.violations else "",
        )
