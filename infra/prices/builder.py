"""Builds the price sources that the settings name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from infra.prices.binance import Binance
from infra.prices.coinbase import Coinbase
from infra.prices.kraken import Kraken
from infra.prices.shocks import ShockFile
from infra.prices.source import PriceSource
from infra.prices.synthetic import SYNTHETIC, SyntheticSource
from infra.prices.venue import Dialect, VenueSource

_DIALECTS: Mapping[str, Callable[[], Dialect]] = {
    "binance": Binance,
    "coinbase": Coinbase,
    "kraken": Kraken,
}


def build_sources(
    names: str,
    clock_us: Callable[[], int],
    *,
    run_dir: Path,
    seed: int = 1,
    urls: Mapping[str, str] | None = None,
    pairs: Mapping[str, Mapping[str, str]] | None = None,
) -> list[PriceSource]:
    """Return the sources of `names`: "synthetic", or venues such as "binance,coinbase,kraken".

    `urls` {venue: address} go before the public addresses; `pairs` {venue: {symbol: pair}} name
    other pairs than a market's own assets. `ValueError` says which name is unknown.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name != "synthetic" and name not in _DIALECTS]
    if unknown or not wanted:
        known = ", ".join(("synthetic", *_DIALECTS))
        named = ", ".join(unknown) or repr(names)
        raise ValueError(f"no price source {named}; there are: {known}")
    found: list[PriceSource] = []
    for name in dict.fromkeys(wanted):
        if name == "synthetic":
            shocks = ShockFile(run_dir)
            found += [SyntheticSource(one, seed, shocks.read) for one in SYNTHETIC]
        else:
            found.append(
                VenueSource(
                    _DIALECTS[name](),
                    clock_us,
                    url=(urls or {}).get(name, ""),
                    pairs=(pairs or {}).get(name),
                )
            )
    return found
