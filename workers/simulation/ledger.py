"""The ledger of a simulated shard: what settlement would post, under `rialto verify`'s checker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from domain import ledger
from domain.checker import Checker
from domain.checker_records import AccountRecord, Assets, EngineRecord, FundingRecord, Opening
from domain.checker_report import CheckReport, Findings
from domain.event_postings import MONEY_EVENTS, postings_for
from domain.events import (
    Credited,
    Event,
    FundingPaid,
    FundingSettled,
    PerpetualTrade,
    Trade,
)
from domain.risk_picture import RiskPicture
from workers.simulation.market import ASSETS, PAIRS

JOURNALS = "journals_balance"


class SimulatedLedger:
    """Balances by account, in chain units, from the postings of each command's events."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._balances: Counter[str] = Counter()
        self._last_trade_id = 0
        self._fundings: list[FundingRecord] = []
        self._instants: Counter[tuple[int, int]] = Counter()

    def post(self, events: Sequence[Event]) -> None:
        """Post one command's events as one journal; 1: it sums to 0 in each asset."""
        postings: list[ledger.Posting] = []
        for event in events:
            if isinstance(event, MONEY_EVENTS):
                postings += postings_for(event, shard=0, assets=ASSETS, pairs=PAIRS)
                if isinstance(event, Credited):  # what comes into transit comes from outside
                    postings += [
                        replace(one, source=ledger.capital(one.asset), destination=one.source)
                        for one in postings[-1:]
                    ]
                if isinstance(event, Trade | PerpetualTrade):
                    self._last_trade_id = event.trade_id
        if not postings:
            return
        totals: Counter[str] = Counter()
        for account, amount in ledger.net_of(postings).items():
            self._balances[account] += amount
            totals[account.rpartition(":")[2]] += amount
        sequence = events[0].sequence
        self._findings.expect(
            JOURNALS, not any(totals.values()), f"at {sequence}: {totals}", sequence=sequence
        )
        if isinstance(events[0], FundingSettled):
            self._funded(events[0], events)

    def _funded(self, head: FundingSettled, events: Sequence[Event]) -> None:
        paid = [event for event in events if isinstance(event, FundingPaid)]
        instant = head.symbol_id, head.funding_time_us
        self._instants[instant] += 1
        self._fundings.append(
            FundingRecord(
                0,
                head.sequence,
                *instant,
                self._instants[instant],
                head.entries,
                len(paid),
                len({event.account_id for event in paid}),
                sum(event.amount_units for event in paid),
                head.rounding_units,
            )
        )

    def check(self, engine: EngineRecord, picture: RiskPicture) -> CheckReport:
        """Hold the whole ledger against the engine, as `rialto verify` does with its rows."""
        trades = {engine.shard: self._last_trade_id or engine.shard << 48}
        checker = Checker(Assets(ASSETS), Opening(last_trade_ids=trades))
        checker.accounts(
            [
                AccountRecord(code, code.rpartition(":")[2], balance, ledger.floor_of(code))
                for code, balance in sorted(self._balances.items())
            ],
            self._balances,
        )
        checker.engine(engine, picture.sequence)
        rows = {
            (account_id, symbol_id): position
            for symbol_id, market in picture.markets.items()
            for account_id, position in market.positions.items()
        }
        checker.positions(engine, rows, self._fundings)
        self._fundings = []
        return checker.report()
