"""Markets and assets as they are listed: the instrument, its shard, and an asset's wallet terms."""

from __future__ import annotations

from dataclasses import dataclass

from domain.deposit import ConfirmationTier, confirmation_tiers
from domain.instrument import Asset, Instrument


@dataclass(frozen=True, slots=True)
class Market:
    """An instrument and the shard whose engine trades it.

    `listed_sequence` is None until its engine has listed it; `delisted_sequence` once it has.
    """

    instrument: Instrument
    shard: int
    listed_sequence: int | None = None
    delisted_sequence: int | None = None


@dataclass(frozen=True, slots=True)
class AssetListing:
    """An asset with the terms of its deposits and withdrawals, in chain units."""

    asset: Asset
    chain: str
    contract: str | None
    confirmations: int
    deposit_minimum: int
    withdrawal_minimum: int
    withdrawal_fee: int
    approval_above: int

    @property
    def confirmation_tiers(self) -> tuple[ConfirmationTier, ...]:
        """Return how many confirmations its deposits wait for, by amount."""
        return confirmation_tiers(self.confirmations, self.approval_above)


def market_name(text: str) -> str:
    """Return a market's name from how it may be written: "ETH-USDT-PERP" is "ETH/USDT-PERP"."""
    return text if "/" in text else text.replace("-", "/", 1)


class Listings:
    """All markets and assets at one moment, by name and by id."""

    def __init__(self, markets: list[Market], assets: list[AssetListing]) -> None:
        self.markets = sorted(markets, key=lambda market: market.instrument.symbol_id)
        self.assets = sorted(assets, key=lambda listing: listing.asset.asset_id)
        self._by_symbol = {market.instrument.symbol: market for market in markets}
        self._by_symbol_id = {market.instrument.symbol_id: market for market in markets}
        self._by_code = {listing.asset.code: listing for listing in assets}
        self._by_asset_id = {listing.asset.asset_id: listing for listing in assets}

    def listed(self) -> Listings:
        """Return these without markets that no engine has listed yet."""
        markets = [market for market in self.markets if market.listed_sequence is not None]
        return Listings(markets, self.assets)

    def market(self, symbol: str) -> Market | None:
        """Return the market called `symbol` ("ETH/USDT", or "ETH-USDT" as in a path)."""
        return self._by_symbol.get(market_name(symbol))

    def market_by_id(self, symbol_id: int) -> Market | None:
        """Return the market with the engine's number `symbol_id`."""
        return self._by_symbol_id.get(symbol_id)

    def asset(self, code: str) -> AssetListing | None:
        """Return the asset called `code`."""
        return self._by_code.get(code)

    def asset_by_id(self, asset_id: int) -> AssetListing | None:
        """Return the asset with the engine's number `asset_id`."""
        return self._by_asset_id.get(asset_id)
