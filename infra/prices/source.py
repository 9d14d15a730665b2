"""The port of an outside price, and what each source remembers of what it was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from domain.index_price import SourcePrice
from domain.source_price import SourceRefusal, TimeRules, source_price

SOURCE_IDS: Mapping[str, int] = {
    "binance": 0,
    "coinbase": 1,
    "kraken": 2,
    "synthetic-1": 3,
    "synthetic-2": 4,
    "synthetic-3": 5,
}
"""Names and numbers of all sources there ever were: below 8, the places of an index command.

A number stands in journals, so it stays.
"""


@dataclass(frozen=True, slots=True)
class PricedMarket:
    """A market that needs an index: its assets name the pair at each venue."""

    symbol_id: int
    symbol: str
    base: str
    quote: str
    tick_size: str
    start_ticks: int  # where a synthetic path begins


@dataclass(frozen=True, slots=True)
class Quote:
    """One price as a venue sent it: its own name of the pair, text, its own clock."""

    pair: str
    price: str
    time_us: int


@dataclass(slots=True)
class SourceHealth:
    """How a source does: whether it is connected, and counts since the start."""

    is_connected: bool = False
    sessions: int = 0
    frames: int = 0
    taken: int = 0
    failure: str = ""  # why the last session ended
    refused: Counter[SourceRefusal] = field(default_factory=Counter)


class PriceSource(Protocol):
    """An outside opinion of prices; `run` keeps it up to date until it is cancelled."""

    @property
    def source_id(self) -> int:
        """Return its number in commands."""

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def health(self) -> SourceHealth:
        """Return how it does."""

    def watch(self, markets: Sequence[PricedMarket]) -> None:
        """Follow exactly these markets from now on."""

    async def run(self) -> None:
        """Follow the markets until cancelled; whatever fails is tried again."""

    def price(self, symbol_id: int, now_us: int) -> SourcePrice | None:
        """Return the newest price of a market, however old; None before the first one."""


class PriceBoard:
    """The newest price a market from one source; everything else is counted and dropped."""

    def __init__(self, source_id: int, rules: TimeRules) -> None:
        self._source_id = source_id
        self._rules = rules
        self._markets: dict[str, list[PricedMarket]] = {}
        self._newest: dict[int, SourcePrice] = {}
        self.health = SourceHealth()

    def watch(self, pairs: Iterable[tuple[str, PricedMarket]]) -> None:
        """Take prices of these pairs only; two markets may share one."""
        self._markets = {}
        for pair, market in pairs:
            self._markets.setdefault(pair, []).append(market)

    @property
    def pairs(self) -> tuple[str, ...]:
        """Return the venue's names of what is watched."""
        return tuple(self._markets)

    def take(self, quote: Quote, now_us: int) -> bool:
        """Take a quote, or count why not; return whether it was a price of a watched market."""
        markets = self._markets.get(quote.pair)
        if markets is None:
            self.health.refused[SourceRefusal.UNKNOWN_PAIR] += 1
            return False
        is_taken = False
        for market in markets:
            found = self._judged(market, quote, now_us)
            if isinstance(found, SourceRefusal):
                self.health.refused[found] += 1
            else:
                self._newest[market.symbol_id] = found
                is_taken = True
        self.health.taken += is_taken
        return is_taken

    def _judged(
        self, market: PricedMarket, quote: Quote, now_us: int
    ) -> SourcePrice | SourceRefusal:
        before = self._newest.get(market.symbol_id)
        return source_price(
            self._source_id,
            quote.price,
            market.tick_size,
            quote.time_us,
            now_us=now_us,
            last_time_us=before.time_us if before else 0,
            rules=self._rules,
        )

    def price(self, symbol_id: int) -> SourcePrice | None:
        """Return the newest price of a market."""
        return self._newest.get(symbol_id)
