"""The checker's part about markets and fee tiers: rows and engine at one sequence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from domain.checker_report import Findings
from domain.commands import MarketRules
from domain.market_change import fee_rows

Rules = Mapping[str, Any]
TERMS = "terms"
"""Under which name a perpetual market's terms stand among its rules."""


@dataclass(frozen=True, slots=True)
class EngineMarkets:
    """What an engine has: {symbol id: (rules, whether delisted)} and {account id: fee tier}."""

    markets: Mapping[int, tuple[Rules, bool]] = field(default_factory=dict)
    tiers: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MarketRows:
    """What the rows say: of a sequence in `at`, and now, {symbol id: rules}, in `now` and `last`.

    `now` is made from the rows of markets, `last` from the newest rows of their history.
    """

    at: EngineMarkets
    now: Mapping[int, Rules] = field(default_factory=dict)
    last: Mapping[int, Rules] = field(default_factory=dict)


def rules_record(rules: object) -> dict[str, Any]:
    """Return the rules that `rules`, or an event about them, has, by the names of MarketRules."""
    found = {
        name.name: getattr(rules, name.name)
        for name in fields(MarketRules)
        if hasattr(rules, name.name)
    }
    found["fees"] = fee_rows(found["fees"])
    return found


def with_terms(rules: Rules, terms: Mapping[str, Any] | None) -> Rules:
    """Return rules with a perpetual market's terms (`domain.perpetual_terms`) among them."""
    return rules if terms is None else {**rules, TERMS: terms}


def markets_after(events: Iterable[tuple[int, str, Rules]]) -> dict[int, tuple[Rules, bool]]:
    """Return {symbol id: (rules, whether delisted)} after events (symbol id, name, rules)."""
    found: dict[int, tuple[Rules, bool]] = {}
    for symbol_id, name, rules in events:
        before, _ = found.get(symbol_id, ({}, False))
        found[symbol_id] = ({**before, **rules}, name == "delisted")
    return found


def check_markets(findings: Findings, shard: int, engine: EngineMarkets, rows: MarketRows) -> None:
    """Check that the rows have the engine's markets and tiers, and show what they have."""
    for symbol_id in sorted(engine.markets.keys() | rows.at.markets.keys()):
        ours, theirs = rows.at.markets.get(symbol_id), engine.markets.get(symbol_id)
        findings.expect(
            "markets_equal_engine",
            ours == theirs,
            f"shard {shard}: the engine has market {symbol_id} as {theirs}, the rows as {ours}",
        )
    for symbol_id in sorted(rows.now.keys() | rows.last.keys()):
        shown, last = rows.now.get(symbol_id), rows.last.get(symbol_id)
        findings.expect(
            "markets_equal_engine",
            shown == last,
            f"shard {shard}: market {symbol_id} is shown as {shown}; its history ends with {last}",
        )
    for account_id in sorted(engine.tiers.keys() | rows.at.tiers.keys()):
        tier, known = engine.tiers.get(account_id, 0), rows.at.tiers.get(account_id, 0)
        findings.expect(
            "tiers_equal_engine",
            tier == known,
            f"shard {shard}: account {account_id} has fee tier {tier}, the rows say {known}",
        )
