"""Everything a gateway works with, in one value; wired by `workers/gateway.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.binance.list_names import ListNames
from api.errors import Problem
from api.limits import Limiter
from api.login_ports import EndedKeys, OwnKeys, WebServices
from api.ports import (
    ComplianceStore,
    EngineDoor,
    FeeTiers,
    FundingStore,
    KeyDirectory,
    LightsBoard,
    ListenKeys,
    ListingDirectory,
    MarginCalls,
    MarketDataStore,
    OrderStore,
    PositionStore,
    ProcessBoard,
    TransferStarter,
    TransferStore,
    WalletStore,
    WithdrawalAddresses,
    WithdrawalRules,
    WithdrawalStarter,
)
from api.websocket.hub import FeedHub
from domain.market import AssetListing, Listings, Market

if TYPE_CHECKING:  # it asks the doors of these services
    from api.websocket.account_hub import AccountHub


@dataclass(frozen=True, slots=True)
class Services:
    """The gateway's ports and settings."""

    doors: Mapping[int, EngineDoor]
    listings_directory: ListingDirectory
    keys: KeyDirectory
    own_keys: OwnKeys
    ended_keys: EndedKeys
    web: WebServices
    listen_keys: ListenKeys
    list_names: ListNames
    orders: OrderStore
    wallet: WalletStore
    compliance: ComplianceStore
    market_data: MarketDataStore
    limiter: Limiter
    board: ProcessBoard
    hub: FeedHub
    accounts: AccountHub
    withdrawal_addresses: WithdrawalAddresses
    withdrawal_rules: WithdrawalRules
    withdrawal_starter: WithdrawalStarter
    fee_tiers: FeeTiers
    funding: FundingStore
    positions: PositionStore
    margin_calls: MarginCalls
    lights: LightsBoard
    transfers: TransferStore
    transfer_starter: TransferStarter
    now_ms: Callable[[], int]
    version: str
    temporal_ui_url: str = ""
    gateways: Sequence[str] = ("gateway",)  # the process names of all of them

    @property
    def listings(self) -> Listings:
        """Return the current listings."""
        return self.listings_directory.current()

    async def key_ended(self, key_id: str) -> None:
        """Have a key or a session refused by all gateways from now on."""
        with suppress(ConnectionError):  # they find out within two seconds
            await self.ended_keys.tell(key_id)

    def market(self, symbol: str) -> Market:
        """Return the market called `symbol`, or raise `Problem` (unknown_symbol)."""
        market = self.listings.market(symbol)
        if market is None:
            raise Problem("unknown_symbol", f"There is no market {symbol[:32]!r}.")
        return market

    def asset(self, code: str) -> AssetListing:
        """Return the asset called `code`, or raise `Problem` (unknown_asset)."""
        listing = self.listings.asset(code)
        if listing is None:
            raise Problem("unknown_asset", f"There is no asset {code[:16]!r}.")
        return listing

    def shards_of(self, symbol: str | None) -> tuple[list[int], int]:
        """Return where a market is, (shards, symbol id); without a symbol every shard, and 0."""
        if symbol is None:
            return sorted(self.doors), 0
        market = self.market(symbol)
        return [market.shard], market.instrument.symbol_id

    def door(self, shard: int) -> EngineDoor:
        """Return the door of the engine that trades `shard`."""
        return self.doors[shard]
