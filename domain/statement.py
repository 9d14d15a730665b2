"""Statements of account: per asset and period, opening balance + lines = closing balance.

Opening and closing come from the balances that the ledger stored, the lines from the events and
postings behind them, so a statement that adds up has compared the two.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from domain.instrument import Asset
from domain.ledger import LedgerInvariantError


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One change of one account; `amount` in chain units, negative when it left the account.

    `booked_at` is when the ledger posted it (ISO 8601, UTC), `reference` the trade, transfer or
    journal key that it belongs to.
    """

    booked_at: str
    account: str
    asset: str
    kind: str
    reference: str
    amount: int


@dataclass(frozen=True, slots=True)
class AssetStatement:
    """One asset over the period; all of the customer's accounts together, chain units."""

    asset: Asset
    opening: int
    closing: int
    lines: tuple[StatementLine, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A customer's statement for journals booked in [`begin`, `end`), ISO 8601, UTC."""

    customer_id: int
    begin: str
    end: str
    assets: tuple[AssetStatement, ...]

    def as_json(self) -> dict[str, object]:
        """Return it for JSON; amounts as decimal text."""
        return {
            "customer_id": self.customer_id,
            "from": self.begin,
            "to": self.end,
            "assets": [
                {
                    "asset": part.asset.code,
                    "opening": part.asset.chain_text(part.opening),
                    "closing": part.asset.chain_text(part.closing),
                    "lines": [
                        {
                            "booked_at": line.booked_at,
                            "kind": line.kind,
                            "reference": line.reference,
                            "account": line.account,
                            "amount": part.asset.chain_text(line.amount),
                            "balance": part.asset.chain_text(balance),
                        }
                        for line, balance in _running(part)
                    ],
                }
                for part in self.assets
            ],
        }

    def as_csv(self) -> str:
        """Return it as CSV with a header; an asset's first and last line are its balances."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(("asset", "booked_at", "kind", "reference", "account", "amount", "balance"))
        for part in self.assets:
            text = part.asset.chain_text
            code = part.asset.code
            writer.writerow((code, self.begin, "opening", "", "", "", text(part.opening)))
            for line, balance in _running(part):
                writer.writerow(
                    (
                        code,
                        line.booked_at,
                        line.kind,
                        _as_text(line.reference),
                        line.account,
                        text(line.amount),
                        text(balance),
                    )
                )
            writer.writerow((code, self.end, "closing", "", "", "", text(part.closing)))
        return out.getvalue()


def _running(part: AssetStatement) -> Iterable[tuple[StatementLine, int]]:
    balance = part.opening
    for line in part.lines:
        balance += line.amount
        yield line, balance


def _as_text(reference: str) -> str:
    """Return the reference so that no spreadsheet takes it for a formula."""
    return f"'{reference}" if reference[:1] in "=+-@\t\r" and reference else reference


def make_statement(
    customer_id: int,
    period: tuple[str, str],
    assets: Mapping[str, Asset],
    opening: Mapping[str, int],
    closing: Mapping[str, int],
    lines: Sequence[StatementLine],
) -> Statement:
    """Return the statement; `opening` and `closing` are {account code: balance, chain units}.

    `LedgerInvariantError` names the first account whose lines do not lead from one to the other.
    """
    moved: dict[str, int] = {}
    for line in lines:
        moved[line.account] = moved.get(line.account, 0) + line.amount
    for account in sorted(opening.keys() | closing.keys() | moved.keys()):
        before, after = opening.get(account, 0), closing.get(account, 0)
        if before + moved.get(account, 0) != after:
            raise LedgerInvariantError(
                f"{account} had {before}, its lines sum to {moved.get(account, 0)}, "
                f"and it has {after}"
            )
    used = {line.asset for line in lines}
    totals = {code: (_total(opening, code), _total(closing, code)) for code in sorted(assets)}
    return Statement(
        customer_id,
        *period,
        tuple(
            AssetStatement(
                assets[code],
                before,
                after,
                tuple(line for line in lines if line.asset == code),
            )
            for code, (before, after) in totals.items()
            if before or after or code in used
        ),
    )


def _total(balances: Mapping[str, int], asset: str) -> int:
    return sum(
        amount for account, amount in balances.items() if account.rpartition(":")[2] == asset
    )
