"""What each fill must cost, seen from events alone: the rates of markets and accounts' tiers.

Whoever checks fees that events tell needs no engine for it: listings, changed parameters and tiers
are told, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from domain import events as e
from domain.fees import FeeTable, fee_units


class FeeBook:
    """Follows rates and tiers; both may be those of a state in the middle."""

    def __init__(
        self, rates: Mapping[int, FeeTable] | None = None, tiers: Mapping[int, int] | None = None
    ) -> None:
        self._rates = dict(rates or {})  # by symbol id
        self._tiers = dict(tiers or {})  # by account id, where it is not 0

    def apply(self, event: e.Event) -> None:
        """Take one event; most say nothing about fees."""
        if isinstance(event, e.SymbolListed | e.ParametersSet):
            self._rates[event.symbol_id] = event.fees
        elif isinstance(event, e.AccountTierSet):
            self._tiers[event.account_id] = event.tier

    def read(self, events: Iterable[e.Event]) -> None:
        """Take events in order."""
        for event in events:
            self.apply(event)

    def of(self, fill: e.Trade | e.PerpetualTrade, *, is_forced: bool = False) -> tuple[int, int]:
        """Return the fees (maker, taker) of a fill in units, rounded as `domain.fees` says.

        `is_forced`: the taker is closed by the engine and pays none, so its maker gets no rebate.
        """
        table = self._rates[fill.symbol_id]
        maker = fee_units(fill.quote_units, table[self._tier(fill.maker_account_id)].maker_ppm)
        if is_forced:
            return max(0, maker), 0
        return maker, fee_units(
            fill.quote_units, table[self._tier(fill.taker_account_id)].taker_ppm
        )

    def _tier(self, account_id: int) -> int:
        return self._tiers.get(account_id, 0)
