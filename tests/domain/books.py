"""Small, correct books in memory: what the stores would have written, as checker records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain import ledger
from domain.checker import Checker
from domain.checker_records import (
    AccountRecord,
    Assets,
    ChainRecord,
    DepositRecord,
    EngineRecord,
    EntryRecord,
    EventRows,
    JournalRecord,
    TransferRecord,
    WithdrawalRecord,
)
from domain.checker_report import CheckReport
from domain.event_postings import MoneyEvent, Pair, postings_for
from domain.events import Trade
from domain.hash_chain import GENESIS, JsonValue
from domain.instrument import Asset
from domain.ledger import Posting

USDT = Asset(1, "USDT", 6, 6)
ETH = Asset(2, "ETH", 18, 9)
ASSETS = {1: USDT, 2: ETH}
PAIRS = {1: Pair(ETH, USDT)}


@dataclass
class Books:
    """Everything that the checker reads. Tests change a record and look what is said."""

    journals: list[JournalRecord] = field(default_factory=list)
    accounts: list[AccountRecord] = field(default_factory=list)
    engine: EngineRecord = field(default_factory=lambda: EngineRecord(0, 0, {}, {}, 0))
    cursor: int = 0
    transfers: list[TransferRecord] = field(default_factory=list)
    deposits: list[DepositRecord] = field(default_factory=list)
    withdrawals: list[WithdrawalRecord] = field(default_factory=list)
    chain: list[ChainRecord] = field(default_factory=list)
    _heads: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def post(self, key: str, *postings: Posting, stream: str = "wallet") -> None:
        """Append a journal of postings."""
        request = ledger.JournalRequest(stream, key, "test", postings)
        detail = ledger.stored_detail(request)
        digest = ledger.request_hash("test", detail)
        self._append(stream, key, "test", detail, digest, ledger.net_of(postings), None, (0, 0))

    def settle(self, first: int, last: int, events: Sequence[MoneyEvent]) -> None:
        """Append a settlement journal of `events`."""
        net = ledger.net_of(
            posting
            for event in events
            for posting in postings_for(event, shard=0, assets=ASSETS, pairs=PAIRS)
        )
        trades = [event.trade_id for event in events if isinstance(event, Trade)]
        digest = ledger.settlement_request_hash(repr(events).encode(), b"")
        rows = EventRows(net, digest, len(trades), min(trades, default=0), max(trades, default=0))
        key = f"settlement.0:{first}-{last}"
        detail: dict[str, JsonValue] = {"trades": len(trades)}
        self._append("settlement.0", key, "settlement", detail, digest, net, rows, (first, last))
        self.cursor = last

    def _append(
        self,
        stream: str,
        key: str,
        kind: str,
        detail: dict[str, JsonValue],
        digest: bytes,
        net: dict[str, int],
        rows: EventRows | None,
        sequences: tuple[int, int],
    ) -> None:
        position, previous = self._heads.get(stream, (0, GENESIS))
        entries = []
        for code, amount in sorted(net.items()):
            entries.append(EntryRecord(code, amount, self.balance(code) + amount))
            self._set(code, self.balance(code) + amount)
        content = ledger.JournalContent(
            stream,
            position + 1,
            key,
            kind,
            digest,
            sequences[0] or None,
            sequences[1] or None,
            detail,
        )
        hashed = ledger.journal_hash(
            previous, content, [(e.account, e.amount, e.balance_after) for e in entries]
        )
        self.journals.append(
            JournalRecord(
                len(self.journals) + 1,
                stream,
                position + 1,
                key,
                kind,
                digest,
                content.first_sequence,
                content.last_sequence,
                detail,
                previous,
                hashed,
                tuple(entries),
                rows,
            )
        )
        self._heads[stream] = (position + 1, hashed)

    def balance(self, code: str) -> int:
        """Return an account's balance."""
        return next((a.balance for a in self.accounts if a.code == code), 0)

    def _set(self, code: str, balance: int) -> None:
        self.accounts = [a for a in self.accounts if a.code != code]
        asset = code.rpartition(":")[2]
        self.accounts.append(AccountRecord(code, asset, balance, ledger.floor_of(code)))

    def check(self) -> CheckReport:
        """Run the checker over everything."""
        checker = Checker(Assets(ASSETS))
        for journal in self.journals:
            checker.journal(journal)
        checker.accounts(self.accounts)
        checker.cursor(0, self.cursor)
        checker.engine(self.engine, self.cursor)
        checker.transfers(self.transfers)
        checker.deposits(self.deposits)
        checker.withdrawals(self.withdrawals)
        checker.chain(self.chain)
        return checker.report()
