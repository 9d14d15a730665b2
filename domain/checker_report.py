"""What a check found: invariants that looked at something, and the violations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

MAX_VIOLATIONS = 200  # listed; all are counted


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. `amount` is what is too much (chain units), where that makes sense."""

    invariant: str
    text: str
    account: str | None = None
    asset: str | None = None
    amount: int | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class InvariantResult:
    """One rule: how many rows it looked at (> 0), and whether all of them were in order."""

    name: str
    rows: int
    ok: bool


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All invariants that looked at something, and what broke them."""

    invariants: tuple[InvariantResult, ...]
    violations: tuple[Violation, ...]
    violation_count: int

    @property
    def ok(self) -> bool:
        """Return whether nothing is broken."""
        return self.violation_count == 0


class Findings:
    """Collects the outcome of single checks, by invariant."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()
        self._violations: list[Violation] = []
        self._unlisted = 0  # of reports that were taken: more than they list

    def expect(
        self,
        invariant: str,
        holds: bool,
        text: str,
        *,
        account: str | None = None,
        asset: str | None = None,
        amount: int | None = None,
        sequence: int | None = None,
        count: int = 1,
    ) -> None:
        """Count `count` rows under `invariant`; unless it `holds`, note what is wrong."""
        self._rows[invariant] += count
        if holds:
            return
        self._broken[invariant] += 1
        if len(self._violations) < MAX_VIOLATIONS:
            asset = asset or (account.rpartition(":")[2] if account else None)
            self._violations.append(Violation(invariant, text, account, asset, amount, sequence))

    def held(self, invariant: str) -> None:
        """Count one row that is in order."""
        self._rows[invariant] += 1

    def take(self, report: CheckReport) -> None:
        """Add another report's outcome; of its violations those that it lists."""
        for result in report.invariants:
            self._rows[result.name] += result.rows
        self._unlisted += report.violation_count - len(report.violations)
        for violation in report.violations:
            self._broken[violation.invariant] += 1
            if len(self._violations) < MAX_VIOLATIONS:
                self._violations.append(violation)

    @property
    def violation_count(self) -> int:
        """Return how many violations there are so far."""
        return self._broken.total() + self._unlisted

    def report(self) -> CheckReport:
        """Return what was checked and what was found."""
        return CheckReport(
            invariants=tuple(
                InvariantResult(name, rows, self._broken[name] == 0)
                for name, rows in sorted(self._rows.items())
            ),
            violations=tuple(self._violations),
            violation_count=self.violation_count,
        )
