"""The market that is measured, and the money of those who trade on it."""

from __future__ import annotations

from domain.commands import Credit, ListSymbol
from domain.fees import flat_fees
from matching.codec import encode_command

SYMBOL, BASE, QUOTE = 1, 1, 2
ACCOUNTS = 1_000
_RICH_UNITS = 10**15
_PAYMENTS_IN_BATCH = 500

# One unit a lot and a tick, fees, and a band so wide that no flow is refused.
LISTING = ListSymbol(
    symbol_id=SYMBOL,
    base_asset_id=BASE,
    quote_asset_id=QUOTE,
    base_units_per_lot=1,
    quote_units_per_tick_lot=1,
    fees=flat_fees(100, 200),
    max_taker_fee_ppm=200,
    band_ppm=1_000_000_000,
    listing_price_ticks=100_000,
    max_order_lots=1_000_000_000,
    max_open_orders=1_000_000_000,
)


def payments(now_us: int) -> list[bytes]:
    """Return batches of credits that make every account rich in both assets."""
    credits_ = [
        encode_command(Credit(account * 4 + asset, account, asset, _RICH_UNITS, now_us))
        for account in range(1, ACCOUNTS + 1)
        for asset in (BASE, QUOTE)
    ]
    return [
        b"".join(credits_[start : start + _PAYMENTS_IN_BATCH])
        for start in range(0, len(credits_), _PAYMENTS_IN_BATCH)
    ]
