"""The checker's part about perpetuals: positions, clearing, funding, cash below zero."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from domain import ledger
from domain.account import COLLATERAL_ASSETS, Account, AccountKind
from domain.checker_records import Assets, EngineRecord, FundingRecord
from domain.checker_report import Findings
from domain.position import FLAT, Position
from domain.risk_commands import FUND_ACCOUNT

RUIN = "ruined_only_in_liquidation"

Positions = Mapping[tuple[int, int], Position]


def check_positions(
    findings: Findings, engine: EngineRecord, rows: Positions, assets: Assets
) -> dict[str, int]:
    """Check settled positions against the engine's and each other.

    Returns what each market's clearing account must be, chain units: minus the sum of the cost
    bases. A market without open positions is not among them; there it must be 0.
    """
    for place in sorted(engine.positions.keys() | rows.keys()):
        ours, theirs = rows.get(place, FLAT), engine.positions.get(place, FLAT)
        account_id, symbol_id = place
        findings.expect(
            "positions_equal_engine",
            ours == theirs,
            f"shard {engine.shard}: account {account_id} has {ours.lots} lots of market "
            f"{symbol_id} that cost {ours.cost_units}, in the engine {theirs.lots} that cost "
            f"{theirs.cost_units}",
            account=_holder(account_id),
            amount=ours.lots - theirs.lots,
            sequence=engine.sequence,
        )
    lots: Counter[int] = Counter()
    costs: Counter[int] = Counter()
    for (_, symbol_id), position in rows.items():
        lots[symbol_id] += position.lots
        costs[symbol_id] += position.cost_units
    for symbol_id, total in sorted(lots.items()):
        findings.expect(
            "positions_net_to_zero",
            total == 0,
            f"shard {engine.shard}: longs and shorts of market {symbol_id} differ by {total} lots",
            amount=total,
            sequence=engine.sequence,
        )
    found = {}
    for symbol_id, units in costs.items():
        asset_id = _quote_asset(engine, symbol_id)
        code = ledger.pnl_clearing(engine.shard, symbol_id, assets.code(asset_id))
        found[code] = -assets.chain_units(asset_id, units)
    return found


def _quote_asset(engine: EngineRecord, symbol_id: int) -> int:
    """Return the asset that a market is settled in, by the engine; 0 of an unknown market."""
    rules, _ = engine.administration.markets.get(symbol_id, ({}, False))
    return int(rules.get("quote_asset_id", 0))


def check_clearing(
    findings: Findings, balances: Mapping[str, int], expected: Mapping[str, int], sequence: int
) -> None:
    """Check that each clearing account is minus the cost of its market's open positions."""
    for code in sorted(balances.keys() | expected.keys()):
        balance, wanted = balances.get(code, 0), expected.get(code, 0)
        findings.expect(
            "clearing_equals_cost",
            balance == wanted,
            f"{code} stands at {balance}, the open positions have cost {-wanted}",
            account=code,
            asset=code.rpartition(":")[2],
            amount=balance - wanted,
            sequence=sequence,
        )


def check_negative_cash(
    findings: Findings, accounts: Iterable[tuple[Account, str, int]], rows: Positions, sequence: int
) -> None:
    """Check that only who has a position owes collateral: (account, code, balance) of a shard.

    Below zero, cash stands against unrealised profit; without a position there is none.
    """
    holders = {account_id for account_id, _ in rows}
    for account, code, balance in accounts:
        if account.kind is not AccountKind.TRADING or account.asset not in COLLATERAL_ASSETS:
            continue
        findings.expect(
            "debt_only_with_positions",
            balance >= 0 or account.customer_id in holders,
            f"{code} stands at {balance}, and its owner has no position",
            account=code,
            asset=account.asset,
            amount=balance,
            sequence=sequence,
        )


def check_ruined(findings: Findings, engine: EngineRecord) -> None:
    """Check that who has less than nothing at mark is being liquidated."""
    findings.expect(RUIN, True, "", count=engine.scopes - len(engine.ruined))
    for (account_id, symbol_id), equity in sorted(engine.ruined.items()):
        scope = f"market {symbol_id}" if symbol_id else "cross margin"
        findings.expect(
            RUIN,
            False,
            f"shard {engine.shard}: account {account_id}, {scope}, has an equity of {equity} at "
            "mark, and no liquidation has it",
            account=_holder(account_id),
            amount=equity,
            sequence=engine.sequence,
        )


def check_fundings(findings: Findings, records: Iterable[FundingRecord]) -> None:
    """Check each funding: one an instant, one entry an account, and all of it sums to zero."""
    for record in records:
        place = f"shard {record.shard}: funding {record.sequence} of market {record.symbol_id}"
        total = record.paid_units + record.rounding_units
        findings.expect(
            "funding_sums_to_zero",
            total == 0 and record.rounding_units >= 0,
            f"{place}: entries of {record.paid_units} and rounding of {record.rounding_units} "
            f"differ by {total}",
            amount=total,
            sequence=record.sequence,
        )
        complete = record.entries == record.accounts == record.wanted_entries
        findings.expect(
            "funding_paid_once",
            complete and record.times == 1,
            f"{place}: {record.entries} entries of {record.accounts} accounts instead of "
            f"{record.wanted_entries}; its instant {record.funding_time_us} was settled "
            f"{record.times} times",
            amount=record.entries - record.wanted_entries,
            sequence=record.sequence,
        )


def _holder(account_id: int) -> str:
    return "insurance fund" if account_id == FUND_ACCOUNT else f"customer:{account_id}"
