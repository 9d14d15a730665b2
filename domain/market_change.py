"""Changes of markets: what is done to one with a reason and two officers' signatures.

A change is one command to one engine, under a key of its own, and names the sequence at which it
took effect. A market's name and number stand for one history: they are never used again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from domain.commands import Command, DelistSymbol
from domain.fees import FeeRates, FeeTable
from domain.hash_chain import JsonValue, canonical_json
from domain.instrument import Asset, Instrument
from domain.money import INT64_MAX, ceil_ppm
from domain.perpetual_terms import terms_of_record, terms_record
from domain.risk_commands import SetPerpetualState, SetRiskParameters, TopUpFund, Trigger

MARKET_CHANGE_WORKFLOW = "MarketChangeWorkflow"
MARKET_CHANGE_QUEUE = "settlement"  # the task queue: its worker has the pinned keys and the doors
RULES = ("band_ppm", "max_order", "max_open_orders", "max_position", "fees")
"""What `set` may change; everything else of a market is its listing's, for ever."""
MONEY_VALID_SECONDS = 24 * 3600
"""How long an engine takes a money command: a change that is one expires by then."""
MAX_SYMBOL_ID = 2**16 - 1
_MAX_ACTOR, _MAX_SAID = 32, 96  # what an engine keeps of who and why
_CODE = re.compile(r"[A-Z0-9]{1,16}")
Terms = Mapping[str, Any]


class ChangeKind(StrEnum):
    """What a change does to its market."""

    LIST = "list"
    SET = "set"
    DELIST = "delist"
    RISK = "risk"  # other terms of a perpetual
    SETTLE = "settle"  # a halted perpetual ends: everybody is closed at its final index
    TOP_UP = "top-up"  # cash for the insurance fund of a perpetual's shard


class ChangeState(StrEnum):
    """Where a change stands; the business row's `state`."""

    PROPOSED = "proposed"
    APPLIED = "applied"
    EXPIRED = "expired"
    ABANDONED = "abandoned"


def market_change_workflow_id(change_id: str) -> str:
    """Return the workflow's id."""
    return f"market-change-{change_id}"


@dataclass(frozen=True, slots=True)
class MarketChange:
    """One change. `expiry` in seconds since 1970.

    `terms` are of a listing the whole terms, of a `set` the rules from now on, of a `risk` the
    perpetual's terms from now on (`perpetual`), of a `top-up` the `amount`, else empty; `was` is
    what they replace; `asset` is a base asset that is listed with its market.
    `attempt` counts what the engine refused: each attempt has a command key of its own.
    """

    change_id: str
    kind: ChangeKind
    symbol: str
    symbol_id: int
    shard: int
    reason: str
    expiry: int
    proposed_by: str
    terms: Terms = field(default_factory=dict)
    was: Terms = field(default_factory=dict)
    asset: Terms = field(default_factory=dict)
    state: ChangeState = ChangeState.PROPOSED
    attempt: int = 0
    sequence: int | None = None
    failure: str = ""

    noun = "change"

    @property
    def action(self) -> str:
        """Return the action that officers sign for."""
        return f"market-{self.kind}"

    @property
    def is_open(self) -> bool:
        """Return whether it still takes signatures."""
        return self.state is ChangeState.PROPOSED

    @property
    def key(self) -> int:
        """Return the command key of this attempt; never zero."""
        text = f"market-change:{self.change_id}:{self.attempt}"
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        return int.from_bytes(digest, "little") | 1

    def statement(self) -> str:
        """Return the one text that officers sign."""
        content: dict[str, JsonValue] = {
            "id": self.change_id,
            "action": self.action,
            "symbol": self.symbol,
            "symbol_id": self.symbol_id,
            "shard": self.shard,
            "terms": dict(self.terms),
            "was": dict(self.was),
            "asset": dict(self.asset),
            "reason": self.reason,
            "expiry": self.expiry,
        }
        return canonical_json(content).decode("ascii")

    @property
    def said(self) -> tuple[str, str]:
        """Return who and why, as much of it as an engine keeps."""
        return _printable(self.proposed_by, _MAX_ACTOR), _printable(self.reason, _MAX_SAID)

    @property
    def created_at_us(self) -> int:
        """Return the time that a money command carries: the same whenever it is repeated."""
        return (self.expiry - MONEY_VALID_SECONDS) * 1_000_000

    def summary(self) -> str:
        """Return one line for people: what it does to which market."""
        if self.kind is ChangeKind.SET:
            changed = [
                f"{name} {_shown(self.was.get(name))} -> {_shown(self.terms[name])}"
                for name in RULES
                if self.terms[name] != self.was.get(name)
            ]
            return f"set {self.symbol}: {', '.join(changed)}"
        if self.kind is ChangeKind.RISK:
            now, was = self.terms["perpetual"], self.was["perpetual"]
            changed = [
                f"{name} {_shown(was.get(name))} -> {_shown(now[name])}"
                for name in sorted(now)
                if now[name] != was.get(name)
            ]
            return f"set the risk terms of {self.symbol}: {', '.join(changed)}"
        if self.kind is ChangeKind.SETTLE:
            return f"end {self.symbol}: everybody is closed at its final index"
        if self.kind is ChangeKind.TOP_UP:
            fund = f"the insurance fund of shard {self.shard}"
            return f"add {self.terms['amount']} to {fund} (for {self.symbol})"
        return f"{self.kind} {self.symbol} on shard {self.shard}"


def _shown(value: object) -> str:
    return canonical_json(value).decode("ascii").strip('"')  # type: ignore[arg-type]


def _printable(text: str, longest: int) -> str:
    return "".join(c if " " <= c <= "~" else " " for c in text)[:longest]


def fee_rows(fees: FeeTable) -> list[list[int]]:
    """Return [maker, taker] ppm by tier, without the last tiers that pay as the one before."""
    rows = [[rates.maker_ppm, rates.taker_ppm] for rates in fees]
    while len(rows) > 1 and rows[-1] == rows[-2]:
        rows.pop()
    return rows


def rules_of(market: Instrument) -> dict[str, Any]:
    """Return what `set` may change, as text and whole numbers."""
    return {
        "band_ppm": market.band_ppm,
        "max_order": market.quantity_text(market.max_order_lots),
        "max_open_orders": market.max_open_orders,
        "max_position": market.quantity_text(market.max_position_lots),
        "fees": fee_rows(market.fees),
    }


def terms_of(market: Instrument) -> dict[str, Any]:
    """Return the whole terms of a listing, as text and whole numbers."""
    return {
        "base": market.base.code,
        "quote": market.quote.code,
        "tick_size": market.tick_size,
        "lot_size": market.lot_size,
        "listing_price": market.price_text(market.listing_price_ticks),
        "max_taker_fee_ppm": market.max_taker_fee_ppm,
        **rules_of(market),
        **({} if market.terms is None else {"perpetual": terms_record(market.terms)}),
    }


def instrument_of(symbol_id: int, base: Asset, quote: Asset, terms: Terms) -> Instrument:
    """Return the market of these terms; `ValueError` says, in words, what is wrong with them."""
    fees = [FeeRates(*rates) for rates in terms["fees"]]
    if not fees:
        raise ValueError("a market needs fees: maker and taker rate of tier 0")
    if base.code == quote.code:
        raise ValueError("a market needs two different assets")
    market = Instrument.listed(
        symbol_id=symbol_id,
        base=base,
        quote=quote,
        tick_size=terms["tick_size"],
        lot_size=terms["lot_size"],
        listing_price=terms["listing_price"],
        maker_fee_ppm=fees[0].maker_ppm,
        taker_fee_ppm=fees[0].taker_ppm,
        tier_fees=fees[1:],
        max_taker_fee_ppm=terms["max_taker_fee_ppm"],
        band_ppm=terms["band_ppm"],
        max_order=terms["max_order"],
        max_open_orders=terms["max_open_orders"],
        max_position=terms["max_position"],
        terms=terms_of_record(terms["perpetual"]) if "perpetual" in terms else None,
    )
    _refuse_limits(market)
    return market


def _refuse_limits(market: Instrument) -> None:
    if market.listing_price_ticks == 0:
        raise ValueError("the listing price must be positive")
    if market.max_order_lots == 0:
        raise ValueError("the largest order must be positive")
    if not 0 < market.max_open_orders < 2**32:
        raise ValueError("an account needs at least one open order")
    if not 0 <= market.band_ppm <= INT64_MAX:
        raise ValueError("the price band must not be negative")
    if market.max_position_lots > INT64_MAX:
        raise ValueError("the largest position does not fit the engine's 64 bits")
    quote = market.quote_units(market.listing_price_ticks, market.max_order_lots)
    if quote + ceil_ppm(quote, market.max_taker_fee_ppm) > INT64_MAX:
        raise ValueError(
            "the largest order at the listing price does not fit the engine's 64 bits; "
            "make it smaller, or the grid coarser"
        )
    if market.base_units(market.max_order_lots) > INT64_MAX:
        raise ValueError("the largest order does not fit the engine's 64 bits")


def code_refusal(code: str) -> str | None:
    """Return why an asset may not be called so, or None."""
    if _CODE.fullmatch(code) is None:
        return f"an asset is called by 1 to 16 capital letters and digits, not {code[:32]!r}"
    return None


def command_of(change: MarketChange, market: Instrument) -> Command:
    """Return the command of a change; `market` has the terms that it asks for."""
    if change.kind is ChangeKind.LIST:
        return market.listing(change.key)
    if change.kind is ChangeKind.SET:
        return market.parameters(change.key)
    if change.kind is ChangeKind.RISK:
        assert market.terms is not None
        return SetRiskParameters(market.symbol_id, market.terms, change.key)
    if change.kind is ChangeKind.SETTLE:
        return SetPerpetualState(market.symbol_id, Trigger.SETTLE, *change.said)
    if change.kind is ChangeKind.TOP_UP:
        amount = market.quote.engine_units(change.terms["amount"])
        return TopUpFund(change.key, market.quote.asset_id, amount, change.created_at_us)
    return DelistSymbol(change.symbol_id, *change.said)


@dataclass(frozen=True)
class ChangeRequest:
    """The argument of the workflow `market-change-{id}`."""

    change_id: str


@dataclass(frozen=True)
class AbandonRequest:
    """Who gives a change up, and why."""

    change_id: str
    by: str = ""
    reason: str = ""


@dataclass(frozen=True)
class ChangeView:
    """What the workflow sees of the row. `seconds_left` until it expires."""

    state: str
    headline: str
    signatures: int
    seconds_left: int
    symbol: str
    sequence: int | None = None


@dataclass(frozen=True)
class Applied:
    """What the engine did: the sequence; None where the change had come to nothing before."""

    sequence: int | None = None


@dataclass(frozen=True)
class Confirmation:
    """A change that took effect at a sequence, on its way to the rows."""

    change_id: str
    sequence: int


@dataclass(frozen=True)
class ChangeResult:
    """How a change ended: its state, and the engine's sequence at which it took effect."""

    state: str
    sequence: int | None = None
