"""The checker's rules about perpetuals: correct books pass, each damage is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from domain import ledger
from domain.checker import Checker
from domain.checker_markets import EngineMarkets
from domain.checker_records import AccountRecord, Assets, EngineRecord, FundingRecord
from domain.checker_report import CheckReport
from domain.instrument import Asset
from domain.position import Position
from domain.risk_commands import FUND_ACCOUNT

ASSETS = Assets({1: Asset(1, "USDT", 6, 6)})
CLEARING = ledger.pnl_clearing(0, 3, "USDT")
OLD = ledger.pnl_clearing(0, 4, "USDT")  # a market in which nobody has a position any more


@dataclass
class PositionBooks:
    """A long, a short and the fund in one market; the long owes 40 against its profit."""

    engine: EngineRecord = field(
        default_factory=lambda: EngineRecord(
            shard=0,
            sequence=9,
            balances_units={(1, 1): -40, (2, 1): 300, (FUND_ACCOUNT, 1): 25},
            fees_units={1: 5},
            trades=0,
            administration=EngineMarkets({3: ({"quote_asset_id": 1}, False)}),
            positions={
                (1, 3): Position(10, 500),
                (2, 3): Position(-7, -420),
                (FUND_ACCOUNT, 3): Position(-3, -100),
            },
            rounding_units={1: 2},
        )
    )
    rows: dict[tuple[int, int], Position] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)
    fundings: list[FundingRecord] = field(
        default_factory=lambda: [FundingRecord(0, 8, 3, 28_800, 1, 3, 3, 3, -2, 2)]
    )

    def __post_init__(self) -> None:
        self.rows = dict(self.engine.positions)
        self.balances = {
            ledger.trading(1, 0, "USDT"): -40,
            ledger.trading(2, 0, "USDT"): 300,
            ledger.insurance(0, "USDT"): 25,
            ledger.fees(0, "USDT"): 5,
            ledger.rounding(0, "USDT"): 2,
            CLEARING: 20,
            OLD: 0,
            ledger.capital("USDT"): -312,
        }

    def check(self) -> CheckReport:
        checker = Checker(ASSETS)
        checker.accounts(
            [
                AccountRecord(code, "USDT", balance, ledger.floor_of(code))
                for code, balance in self.balances.items()
            ],
            self.balances,
        )
        checker.engine(self.engine, 9)
        checker.positions(self.engine, self.rows, self.fundings)
        return checker.report()


def test_correct_books_have_no_violation() -> None:
    """All rules look at something and hold; each is one that a mutation below breaks."""
    report = PositionBooks().check()
    assert report.violations == ()
    names = {result.name for result in report.invariants}
    assert {name for _, name, _ in MUTATIONS} <= names


def _another_size(books: PositionBooks) -> None:
    books.rows[1, 3] = Position(11, 500)


def _another_cost(books: PositionBooks) -> None:
    books.rows[1, 3] = Position(10, 501)


def _lost_position(books: PositionBooks) -> None:
    del books.rows[FUND_ACCOUNT, 3]


def _invented_position(books: PositionBooks) -> None:
    books.rows[5, 3] = Position(1, 20)


def _clearing_is_off(books: PositionBooks) -> None:
    books.balances[CLEARING] += 1


def _clearing_of_nobody(books: PositionBooks) -> None:
    books.balances[OLD] = 1


def _debt_without_a_position(books: PositionBooks) -> None:
    books.balances[ledger.trading(9, 0, "USDT")] = -1


def _fund_below_zero(books: PositionBooks) -> None:
    books.balances[ledger.insurance(0, "USDT")] = -1


def _dust_below_zero(books: PositionBooks) -> None:
    books.balances[ledger.rounding(0, "USDT")] = -1


def _funding(books: PositionBooks, **changes: int) -> None:
    books.fundings = [replace(books.fundings[0], **changes)]


MUTATIONS: list[tuple[Callable[[PositionBooks], None], str, str | None]] = [
    (_another_size, "positions_equal_engine", "customer:1"),
    (_another_size, "positions_net_to_zero", None),
    (_another_cost, "positions_equal_engine", "customer:1"),
    (_another_cost, "clearing_equals_cost", CLEARING),
    (_lost_position, "positions_equal_engine", "insurance fund"),
    (_lost_position, "positions_net_to_zero", None),
    (_invented_position, "positions_equal_engine", "customer:5"),
    (_clearing_is_off, "clearing_equals_cost", CLEARING),
    (_clearing_of_nobody, "clearing_equals_cost", OLD),
    (_debt_without_a_position, "debt_only_with_positions", "customer:9:trading.0:USDT"),
    (_fund_below_zero, "floors_respected", "insurance.0:USDT"),
    (_fund_below_zero, "engine_equals_ledger", "insurance.0:USDT"),
    (_dust_below_zero, "floors_respected", "rounding.0:USDT"),
    (_dust_below_zero, "engine_equals_ledger", "rounding.0:USDT"),
    (lambda books: _funding(books, paid_units=-1), "funding_sums_to_zero", None),
    (lambda books: _funding(books, paid_units=2, rounding_units=-2), "funding_sums_to_zero", None),
    (lambda books: _funding(books, entries=4), "funding_paid_once", None),
    (lambda books: _funding(books, accounts=2), "funding_paid_once", None),
    (lambda books: _funding(books, wanted_entries=4), "funding_paid_once", None),
    (lambda books: _funding(books, times=2), "funding_paid_once", None),
]


@pytest.mark.parametrize(("mutate", "invariant", "account"), MUTATIONS)
def test_mutation_is_named(
    mutate: Callable[[PositionBooks], None], invariant: str, account: str | None
) -> None:
    """The broken rule is named, with the account where there is one."""
    books = PositionBooks()
    mutate(books)
    found = [one for one in books.check().violations if one.invariant == invariant]
    assert found
    assert account is None or account in {one.account for one in found}


def test_an_unreadable_engine_is_not_compared() -> None:
    """Its fault is named elsewhere; every position would differ from nothing."""
    books = PositionBooks()
    books.engine = replace(books.engine, fault="CORRUPT_BLOCK")
    names = {one.invariant for one in books.check().violations}
    assert names == {"engine_journal_readable"}


def test_who_has_less_than_nothing_is_named() -> None:
    """At mark, and without a liquidation: by scope, and the others are counted."""
    books = PositionBooks()
    books.engine = replace(books.engine, scopes=3, ruined={(1, 0): -40, (2, 3): -7})
    report = books.check()
    assert [one.invariant for one in report.violations] == ["ruined_only_in_liquidation"] * 2
    assert "cross margin" in report.violations[0].text
    assert "market 3" in report.violations[1].text
    (rows,) = [r.rows for r in report.invariants if r.name == "ruined_only_in_liquidation"]
    assert rows == 3
