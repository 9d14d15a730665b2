"""What the demo exchange lists: four assets on one chain, three markets, and who has how much."""

from __future__ import annotations

from dataclasses import dataclass

from domain.fees import FeeRates
from domain.instrument import Asset, Instrument

CHAIN = "ETH"


@dataclass(frozen=True, slots=True)
class AssetTerms:
    """An asset with the terms of its deposits and withdrawals, in decimal text."""

    asset: Asset
    confirmations: int
    deposit_minimum: str
    withdrawal_minimum: str
    withdrawal_fee: str
    approval_above: str

    def row(self) -> dict[str, object]:
        """Return the row of table `asset`, without the contract, which is deployed later."""
        units = self.asset.chain_units
        return {
            "asset_id": self.asset.asset_id,
            "code": self.asset.code,
            "chain": CHAIN,
            "chain_decimals": self.asset.chain_decimals,
            "engine_decimals": self.asset.engine_decimals,
            "confirmations": self.confirmations,
            "deposit_minimum": units(self.deposit_minimum),
            "withdrawal_minimum": units(self.withdrawal_minimum),
            "withdrawal_fee": units(self.withdrawal_fee),
            "approval_above": units(self.approval_above),
        }


USDT = Asset(asset_id=1, code="USDT", chain_decimals=6, engine_decimals=6)
ETH = Asset(asset_id=2, code="ETH", chain_decimals=18, engine_decimals=9)
BTC = Asset(asset_id=3, code="BTC", chain_decimals=8, engine_decimals=8)
USDX = Asset(asset_id=4, code="USDX", chain_decimals=10, engine_decimals=10)

ASSETS = (
    AssetTerms(USDT, 2, "1", "10", "1", "10000"),
    AssetTerms(ETH, 2, "0.001", "0.01", "0.002", "4"),
    AssetTerms(BTC, 2, "0.0001", "0.001", "0.0001", "0.2"),
    AssetTerms(USDX, 2, "1", "10", "1", "10000"),
)
ASSET_BY_CODE = {terms.asset.code: terms.asset for terms in ASSETS}

FEED_SYMBOL = "BTC/USDX"
MARKETS = (
    Instrument.listed(
        symbol_id=1,
        base=ETH,
        quote=USDT,
        tick_size="0.01",
        lot_size="0.0001",
        listing_price="2500",
        maker_fee_ppm=1000,
        taker_fee_ppm=2000,
        band_ppm=100_000,
        max_order="1000",
        max_open_orders=1000,
        tier_fees=(FeeRates(500, 1500), FeeRates(0, 1000), FeeRates(-200, 800)),
    ),
    Instrument.listed(
        symbol_id=2,
        base=BTC,
        quote=USDT,
        tick_size="0.1",
        lot_size="0.00001",
        listing_price="60000",
        maker_fee_ppm=1000,
        taker_fee_ppm=2000,
        band_ppm=100_000,
        max_order="100",
        max_open_orders=1000,
    ),
    Instrument.listed(  # a recorded order flow is played here: no price band, deep books
        symbol_id=3,
        base=BTC,
        quote=USDX,
        tick_size="0.01",
        lot_size="0.00000001",
        listing_price="235",
        maker_fee_ppm=1000,
        taker_fee_ppm=2000,
        band_ppm=1_000_000_000,
        max_order="100000",
        max_open_orders=100_000,
    ),
)


# What the shards after the first trade: markets of their own, so that a shard can be added to an
# exchange that has traded for long.
SHARD_MARKETS = {
    1: Instrument.listed(
        symbol_id=4,
        base=ETH,
        quote=BTC,
        tick_size="0.00001",
        lot_size="0.001",
        listing_price="0.04167",
        maker_fee_ppm=1000,
        taker_fee_ppm=2000,
        band_ppm=100_000,
        max_order="1000",
        max_open_orders=1000,
    ),
}


@dataclass(frozen=True, slots=True)
class DemoCustomer:
    """A customer to create, and the deposits that fund the account: asset code -> amount."""

    name: str
    kind: str
    deposits: dict[str, str]


PEOPLE = (
    DemoCustomer("alice", "customer", {"ETH": "20", "USDT": "100000", "BTC": "2"}),
    DemoCustomer("bob", "customer", {"ETH": "20", "USDT": "100000", "BTC": "2"}),
)
BOTS = (
    DemoCustomer("maker-1", "bot", {"ETH": "2000", "USDT": "10000000", "BTC": "100"}),
    DemoCustomer("maker-2", "bot", {"ETH": "2000", "USDT": "10000000", "BTC": "100"}),
    DemoCustomer("taker-1", "bot", {"ETH": "2000", "USDT": "10000000", "BTC": "100"}),
    DemoCustomer("taker-2", "bot", {"ETH": "2000", "USDT": "10000000", "BTC": "100"}),
)
CUSTOMERS = (*PEOPLE, *BOTS)
SHARD_BOTS = {
    1: (
        DemoCustomer("maker-3", "bot", {"ETH": "2000", "BTC": "100"}),
        DemoCustomer("taker-3", "bot", {"ETH": "2000", "BTC": "100"}),
    ),
}
# What customers move to a shard once it is open: who, asset code, amount.
SHARD_FUNDS = {
    1: (
        ("maker-3", "ETH", "1500"),
        ("maker-3", "BTC", "75"),
        ("taker-3", "ETH", "1500"),
        ("taker-3", "BTC", "75"),
        ("alice", "ETH", "2"),
        ("alice", "BTC", "0.5"),
    ),
}
BOT_MARKETS = {"1": "ETH/USDT", "2": "BTC/USDT", "3": "ETH/BTC"}  # by the end of the bot's name

# The hot wallet starts with little BTC, so that a withdrawal of BTC can run short of it.
HOT_WALLET = {"ETH": "50", "USDT": "200000", "BTC": "0.05"}
WAITING_WITHDRAWAL = ("alice", "ETH", "5")  # above the limit: an officer has to sign
PARKED_WITHDRAWAL = ("bob", "BTC", "0.15")  # more than the hot wallet holds
REFILL = ("BTC", "1")
