"""Reconcile engine, ledger and wallet at one sequence, while all of them go on.

The records are one consistent reading of the database with the settlement cursor at N; a second
engine is brought to exactly N. Nothing is paused, and nothing is compared "about N".
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from collections.abc import (
    Set as AbstractSet,
)
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog
from temporalio import activity

from domain.audit import AuditRecord
from domain.checker import Checker
from domain.checker_markets import MarketRows
from domain.checker_records import (
    AccountRecord,
    Assets,
    ChainRecord,
    DepositRecord,
    EngineRecord,
    FundingRecord,
    JournalRecord,
    Opening,
    TransferRecord,
    WalletFacts,
    WithdrawalRecord,
)
from domain.checker_report import CheckReport
from domain.ledger import settlement_stream
from domain.position import Position
from domain.reconciliation import Policy, ReconcileRequest, ReconcileResult, response_to

_log = structlog.get_logger()

_NONE_YET = 2**63 - 1  # an account without a new entry: its last one is the one before


class Reading(Protocol):
    """All records of one moment; after a checkpoint, those that are new or open."""

    async def taken_at(self) -> str:
        """Return the moment."""

    async def floor(self) -> Opening:
        """Return where the archive ends."""

    async def assets(self) -> Assets:
        """Return the listed assets."""

    async def cursor(self, shard: int) -> int:
        """Return the last settled sequence."""

    async def markets_cursor(self, shard: int) -> int:
        """Return up to which sequence the rows of markets and tiers have followed."""

    async def markets(self, shard: int, sequence: int) -> MarketRows:
        """Return the markets and tiers of a shard as they were at a sequence."""

    def journals(self, opening: Opening) -> AsyncIterator[JournalRecord]:
        """Yield the journals after `opening`, in order."""

    async def accounts(self, codes: Collection[str] | None = None) -> Sequence[AccountRecord]:
        """Return accounts by code; None: all."""

    async def standing_accounts(self) -> set[str]:
        """Return the accounts that are compared each time."""

    async def balances_before(self, first_journals: Mapping[str, int]) -> dict[str, int]:
        """Return {account: balance before the journal that is named}."""

    async def floor_balances(self) -> dict[str, int]:
        """Return {account: balance where the archive ends}."""

    async def positions(self, shard: int) -> Mapping[tuple[int, int], Position]:
        """Return {(account id, symbol id): settled position}, open ones only."""

    async def fundings(self, shard: int, after: int) -> Sequence[FundingRecord]:
        """Return the fundings that were settled after a sequence."""

    async def transfers(self, opening: Opening) -> Sequence[TransferRecord]:
        """Return transfers."""

    async def deposits(self, opening: Opening, keys: AbstractSet[str]) -> Sequence[DepositRecord]:
        """Return deposits."""

    async def withdrawals(
        self, opening: Opening, keys: AbstractSet[str]
    ) -> Sequence[WithdrawalRecord]:
        """Return withdrawals."""

    async def audit(self, opening: Opening) -> Sequence[AuditRecord]:
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
        self, shard: int, sequence: int, report: CheckReport, closing: Opening, *, full: bool
    ) -> None:
        """Store one run."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One check: the report, the sequence of each shard, and where the next one may begin.

    `engines` are the engines as they were compared.
    """

    report: CheckReport
    sequences: Mapping[int, int]
    closing: Opening
    engines: Mapping[int, EngineRecord]


async def check_exchange(
    records: Records,
    engines: SecondEngine,
    coins: Coins | None,
    shards: Sequence[int],
    opening: Opening | None = None,
    earlier: Mapping[int, EngineRecord] | None = None,
) -> Checked:
    """Read one moment and check it, with an engine per shard at exactly the settled sequence.

    From a checkpoint `opening` on, only what is new or open is read, and of the engine only what
    differs from `earlier`. Without one, everything that is not archived. The chain is asked for
    the last block that the watcher had read at that moment.
    """
    earlier = earlier or {}
    async with records.reading() as reading:
        opening = opening if opening is not None and opening.heads else await reading.floor()
        checker = Checker(await reading.assets(), opening)
        cursors = {shard: await reading.cursor(shard) for shard in shards}
        async for journal in reading.journals(opening):
            checker.journal(journal)
        found = {shard: await engines.at(shard, cursors[shard]) for shard in shards}
        codes = None
        if opening.is_checkpoint:
            codes = {*checker.first_journals, *await reading.standing_accounts()}
            for shard, record in found.items():
                codes |= _changed(checker, record, earlier.get(shard))
        await _check_balances(reading, checker, codes)
        checker.transfers(await reading.transfers(opening))
        checker.deposits(await reading.deposits(opening, checker.keys))
        checker.withdrawals(await reading.withdrawals(opening, checker.keys))
        checker.audit(await reading.audit(opening))
        positions = {shard: await reading.positions(shard) for shard in shards}
        fundings = {
            shard: await reading.fundings(
                shard, opening.last_sequences.get(settlement_stream(shard), 0)
            )
            for shard in shards
        }
        facts = await reading.wallet_facts()
        taken_at = await reading.taken_at()
        for record in found.values():
            if not record.fault:
                checker.markets(*await _markets(reading, engines, record))
    for shard, sequence in cursors.items():
        checker.cursor(shard, sequence)
        checker.engine(found[shard], sequence, codes)
        checker.positions(found[shard], positions[shard], fundings[shard])
    if coins is not None:
        for of_chain in facts:
            checker.chain(await coins.at(of_chain))
    return Checked(checker.report(), cursors, checker.closing(taken_at), found)


def _changed(checker: Checker, now: EngineRecord, before: EngineRecord | None) -> set[str]:
    """Return the accounts that the engine has changed since it was last compared, or all."""
    old = {} if before is None else checker.engine_accounts(before)
    new = checker.engine_accounts(now)
    return {code for code in old.keys() | new.keys() if old.get(code) != new.get(code)}


async def _markets(
    reading: Reading, engines: SecondEngine, record: EngineRecord
) -> tuple[EngineRecord, MarketRows]:
    """Return an engine and the rows of markets and tiers, both at the same sequence.

    The rows follow the engine with a cursor of their own. Where that is behind settlement's, the
    engine of settlement's sequence mostly has the same; if not, it is brought to the rows' cursor.
    """
    at = min(record.sequence, await reading.markets_cursor(record.shard))
    rows = await reading.markets(record.shard, at)
    if at < record.sequence and rows.at != record.administration:
        record = await engines.at(record.shard, at)
    return record, rows


async def _check_balances(reading: Reading, checker: Checker, codes: set[str] | None) -> None:
    if codes is None:
        checker.accounts(await reading.accounts(), await reading.floor_balances())
        return
    first = {code: checker.first_journals.get(code, _NONE_YET) for code in codes}
    checker.accounts(await reading.accounts(codes), await reading.balances_before(first))


class ReconciliationActivities:
    """The activity of the reconciliation schedules."""

    def __init__(
        self,
        records: Records,
        engines: SecondEngine,
        coins: Coins,
        log: RunLog,
        halt: Callable[[int, str], Awaitable[None]],
        policy: Policy,
    ) -> None:
        self._records = records
        self._engines = engines
        self._coins = coins
        self._log = log
        self._halt = halt
        self._policy = policy
        self._compared: dict[int, EngineRecord] = {}  # shard -> engine at its last clean check
        self.violations: dict[int, int] = {}  # of each shard's last run, for the heartbeat
        self.broken: dict[int, dict[str, int]] = {}  # shard -> invariant -> 1 where it is broken

    @activity.defn(name="reconcile")
    async def reconcile(self, request: ReconcileRequest) -> ReconcileResult:
        """Check what is new since the last clean run, or everything; violations are no error.

        Differences are stored and alarmed, and by policy trading stops or nothing is paid out.
        """
        shard = request.shard
        opening = None if request.full else await self._log.last_clean(shard)
        checked = await check_exchange(
            self._records, self._engines, self._coins, [shard], opening, self._compared
        )
        report, sequence = checked.report, checked.sequences[shard]
        full = opening is None or not opening.is_checkpoint
        await self._log.append(shard, sequence, report, checked.closing, full=full)
        self.violations[shard] = report.violation_count
        self.broken[shard] = {result.name: int(not result.ok) for result in report.invariants}
        if report.ok:
            self._compared[shard] = checked.engines[shard]
        response = response_to(report.violations, self._policy)
        self._tell(shard, report, sequence, full=full)
        if response.halts:
            await self._halt(shard, f"reconciliation: {report.violations[0].text}"[:200])
        return ReconcileResult(
            shard=shard,
            sequence=sequence,
            rows=sum(invariant.rows for invariant in report.invariants),
            violations=report.violation_count,
            broken=[invariant.name for invariant in report.invariants if not invariant.ok],
            first=report.violations[0].text if report.violations else "",
            halted=response.halts,
            gated=response.gates,
        )

    def _tell(self, shard: int, report: CheckReport, sequence: int, *, full: bool) -> None:
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
            full=full,
            sequence=sequence,
            violations=report.violation_count,
            rows=sum(invariant.rows for invariant in report.invariants),
        )
