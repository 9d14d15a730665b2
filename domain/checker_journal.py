"""The checker's part about journals: chains, requests, entries and settled events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from domain import ledger
from domain.checker_records import JournalRecord, Opening
from domain.checker_report import Findings
from domain.hash_chain import GENESIS


class JournalChecker:
    """Reads journals in `journal_id` order and remembers where each chain and account stands.

    `after` is {account: balance after its last entry}, `before` {account: (balance before its
    first entry that was read, that journal's id and first sequence)}, `touched_at` {account:
    sequence of its last settled entry}; `keys` are the keys that were read.
    """

    def __init__(self, findings: Findings, opening: Opening) -> None:
        self._findings = findings
        self.keys: set[str] = set()
        self.heads = dict(opening.heads)
        self.last_sequences = dict(opening.last_sequences)
        self.last_trade_ids = dict(opening.last_trade_ids)
        self.after: dict[str, int] = {}
        self.before: dict[str, tuple[int, int, int | None]] = {}
        self.touched_at: dict[str, int] = {}

    def journal(self, record: JournalRecord) -> None:
        """Check one journal against the ones before it, its own rows and its entries."""
        self._check_chain(record)
        self._check_request(record)
        self._check_entries(record)
        if record.rows is not None:
            self._check_settlement(record)

    def _check_chain(self, record: JournalRecord) -> None:
        position, head = self.heads.get(record.stream, (0, GENESIS))
        place = f"{record.stream} journal {record.position} ({record.key})"
        self._findings.expect(
            "journal_positions_dense",
            record.position == position + 1,
            f"{place} follows position {position}",
            sequence=record.first_sequence,
        )
        content = ledger.JournalContent(
            stream=record.stream,
            position=record.position,
            key=record.key,
            kind=record.kind,
            request_hash=record.request_hash,
            first_sequence=record.first_sequence,
            last_sequence=record.last_sequence,
            detail=record.detail,
        )
        entries = [(entry.account, entry.amount, entry.balance_after) for entry in record.entries]
        intact = record.previous_hash == head and record.hash == ledger.journal_hash(
            record.previous_hash, content, entries
        )
        self._findings.expect(
            "hash_chain_unbroken",
            intact,
            f"{place} does not have the hash of its content and the journal before it",
            sequence=record.first_sequence,
        )
        self.heads[record.stream] = (record.position, record.hash)
        self._findings.expect(
            "keys_used_once",
            record.key not in self.keys,
            f"{place}: the key was posted before",
            sequence=record.first_sequence,
        )
        self.keys.add(record.key)

    def _check_request(self, record: JournalRecord) -> None:
        """Check that what was asked for is still what is stored: event rows, or postings."""
        found = (
            record.rows.request_hash
            if record.rows is not None
            else ledger.request_hash(record.kind, record.detail)
        )
        self._findings.expect(
            "requests_unchanged",
            found == record.request_hash,
            f"{record.stream} journal {record.position} ({record.key}): its "
            f"{'event rows' if record.rows is not None else 'postings'} were changed afterwards",
            sequence=record.first_sequence,
        )

    def _check_entries(self, record: JournalRecord) -> None:
        lines = _lines_of(record)
        entries = {entry.account: entry.amount for entry in record.entries}
        place = f"{record.stream} journal {record.position} ({record.key})"
        for account in sorted(lines.keys() | entries.keys()):
            difference = entries.get(account, 0) - lines.get(account, 0)
            self._findings.expect(
                "lines_equal_entries",
                difference == 0,
                f"{place}: entries of {account} differ from the rows behind them by {difference}",
                account=account,
                amount=difference,
                sequence=record.first_sequence,
            )
        totals: Counter[str] = Counter()
        for entry in record.entries:
            totals[entry.account.rpartition(":")[2]] += entry.amount
        for asset, total in sorted(totals.items()):
            self._findings.expect(
                "journals_balance",
                total == 0,
                f"{place}: entries of {asset} sum to {total}",
                asset=asset,
                amount=total,
                sequence=record.first_sequence,
            )
        for entry in record.entries:
            self._check_running_balance(record, entry.account, entry.amount, entry.balance_after)

    def _check_running_balance(
        self, record: JournalRecord, account: str, amount: int, after: int
    ) -> None:
        before = self.after.get(account)
        if before is None:  # that the account stood there is checked with the opening balances
            before = after - amount
            self.before[account] = (before, record.journal_id, record.first_sequence)
        self._findings.expect(
            "entries_equal_balances",
            before + amount == after,
            f"{record.stream} journal {record.position} ({record.key}): {account} was {before}, "
            f"changed by {amount} and became {after}",
            account=account,
            amount=after - before - amount,
            sequence=record.first_sequence,
        )
        self.after[account] = after
        if record.last_sequence is not None:
            self.touched_at[account] = record.last_sequence

    def _check_settlement(self, record: JournalRecord) -> None:
        rows = record.rows
        assert rows is not None
        last = self.last_sequences.get(record.stream, 0)
        first_sequence, last_sequence = record.first_sequence or 0, record.last_sequence or 0
        self._findings.expect(
            "sequences_in_order",
            last < first_sequence <= last_sequence,
            f"{record.stream} journal {record.position} settles {first_sequence} to "
            f"{last_sequence} after {last}",
            sequence=first_sequence,
        )
        self.last_sequences[record.stream] = last_sequence
        if not rows.trades:
            return
        shard = int(record.stream.rpartition(".")[2])
        previous = self.last_trade_id(shard)
        dense = (
            rows.first_trade_id == previous + 1
            and rows.last_trade_id == previous + rows.trades
            and record.detail.get("trades") == rows.trades
        )
        self._findings.expect(
            "trades_settled_once",
            dense,
            f"{record.stream} journal {record.position} has {rows.trades} trades from "
            f"{rows.first_trade_id} to {rows.last_trade_id} after trade {previous}, "
            f"and settled {record.detail.get('trades')}",
            sequence=first_sequence,
            count=rows.trades,
        )
        self.last_trade_ids[shard] = rows.last_trade_id

    def last_trade_id(self, shard: int) -> int:
        """Return the last settled trade of `shard`; before the first one, the id before it."""
        return self.last_trade_ids.get(shard, shard << 48)

    def opening_balances(self, stored: Mapping[str, int]) -> None:
        """Check that each account's entries begin where the ones before them ended.

        `stored` is {account: balance before the journals that were read}; 0 where it is missing.
        """
        for account, (before, journal_id, sequence) in sorted(self.before.items()):
            self._findings.expect(
                "entries_equal_balances",
                before == stored.get(account, 0),
                f"journal {journal_id} found {account} at {before}, "
                f"the entries before it left {stored.get(account, 0)}",
                account=account,
                amount=before - stored.get(account, 0),
                sequence=sequence,
            )


def _lines_of(record: JournalRecord) -> Mapping[str, int]:
    """Return the sums per account of what lies behind the entries: event rows, or postings."""
    if record.rows is not None:
        return {account: amount for account, amount in record.rows.lines.items() if amount}
    try:
        return ledger.net_of(ledger.postings_from_detail(record.detail))
    except (KeyError, TypeError, ValueError):
        return {}  # not what was written: `requests_unchanged` names it
