"""The checker: is the money where the records say, to the unit? Pure; records are handed in.

Used by the reconciliation workflow, `rialto verify` and the chaos tests. It never repairs and
never stops at the first violation. An invariant is reported only when it looked at something:
`rows` counts what it looked at. Feed journals in `journal_id` order, then the other records,
then ask for the `report`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from domain import ledger
from domain.account import Account, AccountKind, UnknownAccountError, parse_account
from domain.audit import AuditRecord
from domain.checker_journal import JournalChecker
from domain.checker_markets import MarketRows, check_markets
from domain.checker_positions import (
    Positions,
    check_clearing,
    check_fundings,
    check_negative_cash,
    check_positions,
    check_ruined,
)
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
    WithdrawalRecord,
)
from domain.checker_report import CheckReport, Findings
from domain.risk_commands import FUND_ACCOUNT

_OF_THE_ENGINE = (
    AccountKind.TRADING,
    AccountKind.FEES,
    AccountKind.INSURANCE,
    AccountKind.ROUNDING,
)


class Checker:
    """One run over one consistent reading of the records."""

    def __init__(self, assets: Assets, opening: Opening | None = None) -> None:
        self._assets = assets
        self._findings = Findings()
        self._opening = opening or Opening()
        self._journals = JournalChecker(self._findings, self._opening)
        self._balances: dict[str, AccountRecord] = {}
        self._audit = self._opening.audit
        self._in_transit: tuple[str, ...] = ()

    def journal(self, record: JournalRecord) -> None:
        """Check one journal against the ones before it, its own rows and its entries."""
        self._journals.journal(record)

    @property
    def first_journals(self) -> Mapping[str, int]:
        """Return the accounts that the journals touch, each with the first one's id."""
        return {code: journal_id for code, (_, journal_id, _) in self._journals.before.items()}

    @property
    def keys(self) -> set[str]:
        """Return the keys of the journals."""
        return self._journals.keys

    # ---- the state now ------------------------------------------------------------------------

    def accounts(
        self, records: Iterable[AccountRecord], before: Mapping[str, int] | None = None
    ) -> None:
        """Check balances: against the last entry, the floor and, per asset, the sum zero.

        `before` is {account: balance before the journals that were read}, 0 where it is missing.
        After a checkpoint only some accounts come; that each journal balances keeps the sum then.
        """
        before = before or {}
        self._journals.opening_balances(before)
        totals: Counter[str] = Counter()
        members: Counter[str] = Counter()
        for record in records:
            self._balances[record.code] = record
            totals[record.asset] += record.balance
            members[record.asset] += 1
            last = self._journals.after.get(record.code, before.get(record.code, 0))
            self._findings.expect(
                "entries_equal_balances",
                record.balance == last,
                f"{record.code} stands at {record.balance}, its last entry left {last}",
                account=record.code,
                asset=record.asset,
                amount=record.balance - last,
                sequence=self._journals.touched_at.get(record.code),
            )
            floor = ledger.floor_of(record.code) if _is_known(record.code) else record.floor
            self._findings.expect(
                "floors_respected",
                floor == record.floor and (floor is None or record.balance >= floor),
                f"{record.code} stands at {record.balance}; its floor is {floor}, stored as "
                f"{record.floor}",
                account=record.code,
                asset=record.asset,
                amount=record.balance,
                sequence=self._journals.touched_at.get(record.code),
            )
        for asset, total in sorted(totals.items() if not self._opening.is_checkpoint else ()):
            self._findings.expect(
                "assets_sum_to_zero",
                total == 0,
                f"all accounts of {asset} sum to {total}",
                asset=asset,
                amount=total,
                count=members[asset],
            )
        for code in sorted(self._journals.after.keys() - self._balances.keys()):
            self._findings.expect(
                "entries_equal_balances", False, f"{code} has entries and no account", account=code
            )

    def cursor(self, shard: int, last_sequence: int) -> None:
        """Check a settlement cursor: never behind its last journal."""
        stream = ledger.settlement_stream(shard)
        settled = self._journals.last_sequences.get(stream, 0)
        self._findings.expect(
            "cursor_follows_journal",
            last_sequence >= settled,
            f"{stream}: the cursor stands at {last_sequence}, the last journal at {settled}",
            sequence=min(last_sequence, settled) + 1,
        )

    def engine(
        self, record: EngineRecord, cursor: int, only: AbstractSet[str] | None = None
    ) -> None:
        """Check the shard's accounts against an engine at the cursor's sequence.

        After a checkpoint `only` names the accounts that were read.
        """
        self._findings.expect(
            "engine_journal_readable",
            not record.fault,
            f"shard {record.shard}: {record.fault}",
            sequence=cursor,
        )
        if record.fault:
            return
        self._findings.expect(
            "cursor_follows_journal",
            record.sequence == cursor,
            f"shard {record.shard}: the cursor stands at {cursor}, the engine's journal gives "
            f"{record.sequence}",
            sequence=min(record.sequence, cursor) + 1,
        )
        settled = self._journals.last_trade_id(record.shard)
        trades = settled - (record.shard << 48)
        self._findings.expect(
            "trades_settled_once",
            trades == record.trades,
            f"shard {record.shard}: the engine made {record.trades} trades up to {cursor}, "
            f"{trades} are settled",
            amount=trades - record.trades,
            sequence=cursor,
        )
        expected = self.engine_accounts(record)
        if only is not None:
            expected = {code: amount for code, amount in expected.items() if code in only}
        ours = {
            code: account.balance
            for code, account in self._balances.items()
            if _belongs_to_engine(code, record.shard)
        }
        for code in sorted(expected.keys() | ours.keys()):
            difference = ours.get(code, 0) - expected.get(code, 0)
            self._findings.expect(
                "engine_equals_ledger",
                difference == 0,
                f"at {record.sequence} the ledger has {ours.get(code, 0)} on {code}, the engine "
                f"{expected.get(code, 0)}",
                account=code,
                asset=_asset_of(code),
                amount=difference,
                sequence=self._journals.touched_at.get(code, record.sequence),
            )

    def engine_accounts(self, record: EngineRecord) -> dict[str, int]:
        """Return what the ledger must have on the accounts of the record's shard, chain units."""
        found: dict[str, int] = {}
        for (account_id, asset_id), units in record.balances_units.items():
            asset = self._assets.code(asset_id)
            code = (
                ledger.insurance(record.shard, asset)
                if account_id == FUND_ACCOUNT
                else ledger.trading(account_id, record.shard, asset)
            )
            found[code] = self._assets.chain_units(asset_id, units)
        for house, amounts in (
            (ledger.fees, record.fees_units),
            (ledger.rounding, record.rounding_units),
        ):
            for asset_id, units in amounts.items():
                code = house(record.shard, self._assets.code(asset_id))
                found[code] = self._assets.chain_units(asset_id, units)
        return found

    def positions(
        self, record: EngineRecord, rows: Positions, fundings: Iterable[FundingRecord]
    ) -> None:
        """Check a shard's settled positions and fundings; after accounts and engine.

        `rows` are all open positions at the engine's sequence, `fundings` those that are new.
        """
        if record.fault:
            return
        clearing = check_positions(self._findings, record, rows, self._assets)
        ours: dict[str, int] = {}
        owing: list[tuple[Account, str, int]] = []
        for code, found in self._balances.items():
            account = parse_account(code) if _is_known(code) else None
            if account is None or account.shard != record.shard:
                continue
            if account.kind is AccountKind.PNL_CLEARING:
                ours[code] = found.balance
            owing.append((account, code, found.balance))
        check_clearing(self._findings, ours, clearing, record.sequence)
        check_negative_cash(self._findings, owing, rows, record.sequence)
        check_fundings(self._findings, fundings)
        if record.scopes:
            check_ruined(self._findings, record)

    def markets(self, record: EngineRecord, rows: MarketRows) -> None:
        """Check markets and fee tiers against an engine at the sequence of the rows."""
        check_markets(self._findings, record.shard, record.administration, rows)

    def transfers(self, records: Iterable[TransferRecord]) -> None:
        """Check that each transit account is the sum of the transfers on their way."""
        expected: Counter[str] = Counter()
        counted: Counter[str] = Counter()
        in_transit = []
        for record in records:
            code = ledger.transit(record.shard, record.asset)
            if record.in_transit:
                in_transit.append(record.transfer_id)
            counted[code] += 1
            expected[code] += record.amount if record.in_transit else 0
        self._in_transit = tuple(sorted(in_transit))
        transit = {
            code for code in self._balances if _kind_of(code) is AccountKind.TRANSIT
        } | counted.keys()
        for code in sorted(transit):
            account = self._balances.get(code)
            balance = account.balance if account else 0
            self._findings.expect(
                "transit_equals_open_transfers",
                balance == expected[code],
                f"{code} stands at {balance}, the transfers on their way sum to {expected[code]}",
                account=code,
                asset=_asset_of(code),
                amount=balance - expected[code],
                count=max(1, counted[code]),
            )

    # ---- the wallet ---------------------------------------------------------------------------

    def deposits(self, records: Iterable[DepositRecord]) -> None:
        """Check that each deposit is in the ledger once when it is booked, and else not at all.

        One that was reorganised afterwards is taken back and restored in turn.
        """
        for record in records:
            turns = range(record.turns + 1) if record.booked else ()
            wanted = tuple(record.amount if turn % 2 == 0 else -record.amount for turn in turns)
            self._findings.expect(
                "deposits_credited_once",
                record.postings == wanted,
                f"{record.deposit_id} of {record.amount} is {'' if record.booked else 'not '}"
                f"booked, and its postings are {list(record.postings)}",
                asset=record.asset,
                amount=sum(record.postings) - sum(wanted),
            )

    def withdrawals(self, records: Iterable[WithdrawalRecord]) -> None:
        """Check each withdrawal: signed at most once, never paid out and given back."""
        for record in records:
            self._findings.expect(
                "withdrawals_signed_once",
                record.signed <= 1 and (record.signed == 1 or not record.broadcast),
                f"withdrawal {record.withdrawal_id} has {record.signed} signed transactions",
                asset=record.asset,
                amount=record.amount,
            )
            self._findings.expect(
                "withdrawals_paid_or_released",
                not (record.released and (record.broadcast or record.signed)) or record.reverted,
                f"withdrawal {record.withdrawal_id} was released and signed",
                asset=record.asset,
                amount=record.amount,
            )
            self._findings.expect(
                "withdrawals_settled_once",
                len(record.payments) == (1 if record.settled else 0)
                and (record.broadcast or not record.payments)
                and not (record.reverted and record.settled),
                f"withdrawal {record.withdrawal_id} is {'' if record.settled else 'not '}settled "
                f"and took {list(record.payments)} from the wallet",
                asset=record.asset,
                amount=sum(record.payments),
            )

    def chain(self, records: Iterable[ChainRecord]) -> None:
        """Check that the coins on the chain are minus the wallet accounts."""
        for record in records:
            account = self._balances.get(record.account)
            booked = -account.balance if account else 0
            difference = record.coins - record.in_flight - booked
            self._findings.expect(
                "chain_equals_wallet",
                difference == 0,
                f"{record.account}: the chain has {record.coins}, of which {record.in_flight} are "
                f"not booked yet; the ledger has {booked}",
                account=record.account,
                asset=record.asset,
                amount=difference,
            )

    def audit(self, records: Iterable[AuditRecord]) -> None:
        """Check the audit log after the opening's record: dense and chained."""
        number, previous = self._audit
        for record in records:
            number += 1
            self._findings.expect(
                "audit_chain_unbroken",
                record.audit_id == number
                and record.previous_hash == previous
                and record.hash == record.computed_hash(),
                f"audit record {record.audit_id} ({record.key}) is not the one that was written "
                f"as number {number}",
            )
            previous, number = record.hash, record.audit_id
        self._audit = (number, previous)

    # ---- the outcome --------------------------------------------------------------------------

    def report(self) -> CheckReport:
        """Return what was checked and what was found."""
        return self._findings.report()

    def closing(self, taken_at: str) -> Opening:
        """Return where this check ended, for the next one to begin at; `taken_at` as read."""
        return Opening(
            heads=dict(self._journals.heads),
            last_sequences=dict(self._journals.last_sequences),
            last_trade_ids=dict(self._journals.last_trade_ids),
            audit=self._audit,
            in_transit=self._in_transit,
            taken_at=taken_at,
        )


def _asset_of(code: str) -> str:
    return code.rpartition(":")[2]


def _kind_of(code: str) -> AccountKind | None:
    try:
        return parse_account(code).kind
    except UnknownAccountError:
        return None


def _is_known(code: str) -> bool:
    return _kind_of(code) is not None


def _belongs_to_engine(code: str, shard: int) -> bool:
    if not _is_known(code):
        return False
    account = parse_account(code)
    return account.shard == shard and account.kind in _OF_THE_ENGINE
