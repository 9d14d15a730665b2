"""Markets by the dialect's names: `ETHUSDT` is a spot market, or the perpetual of the pair."""

from __future__ import annotations

from api.binance.errors import Refusal
from api.binance.parameters import Parameters
from api.services import Services
from domain.instrument import Instrument
from domain.market import Market


def name_of(instrument: Instrument) -> str:
    """Return a market's name in the dialect; spot and perpetual of a pair share it."""
    return f"{instrument.base.code}{instrument.quote.code}"


def markets(services: Services, *, perpetual: bool) -> list[Market]:
    """Return the markets of one kind that are not delisted."""
    return [
        market
        for market in services.listings.markets
        if (market.instrument.terms is not None) == perpetual and market.delisted_sequence is None
    ]


def market_called(services: Services, name: str, *, perpetual: bool) -> Market:
    """Return the market of one kind with a name of the dialect; -1121 without one."""
    for market in services.listings.markets:
        is_kind = (market.instrument.terms is not None) == perpetual
        if is_kind and name_of(market.instrument) == name:
            return market
    raise Refusal(-1121, "Invalid symbol.")


def wanted(services: Services, parameters: Parameters, *, perpetual: bool) -> Market:
    """Return the market that the parameter `symbol` names."""
    return market_called(services, parameters.need("symbol"), perpetual=perpetual)


def several(services: Services, parameters: Parameters, *, perpetual: bool) -> list[Market]:
    """Return what `symbol` or the JSON list `symbols` names; all where neither was sent."""
    name, listed = parameters.text("symbol"), parameters.names("symbols")
    if name is not None:
        listed = [name]
    if listed is None:
        return markets(services, perpetual=perpetual)
    return [market_called(services, one, perpetual=perpetual) for one in listed]
