"""`GET /v1/fees`: volume, tier, and the rates that are in force."""

from __future__ import annotations

from dataclasses import replace

from domain.fee_tiers import TIER_VOLUMES, CustomerTier
from domain.fees import FeeRates, fee_table
from domain.market import Listings, Market
from tests.api.exchange import Exchange
from tests.api.memory import ALICE, ETH_USDT, LISTINGS


async def test_before_the_first_assessment(exchange: Exchange) -> None:
    """Tier 0, no volume, no date."""
    found = (await exchange.call("GET", "/v1/fees")).json()
    assert (found["volume"], found["as_of"], found["tier"]) == ("0", None, 0)
    assert found["markets"] == [
        {"symbol": "ETH/USDT", "tier": 0, "maker_fee_ppm": 1000, "taker_fee_ppm": 2000}
    ]
    assert [tier["from_volume"] for tier in found["tiers"]] == [str(v) for v in TIER_VOLUMES]


async def test_the_rates_are_those_of_the_shard(exchange: Exchange) -> None:
    """What the engine charges, also where the newest assessment has not reached it yet."""
    market = replace(ETH_USDT, fees=fee_table(FeeRates(1_000, 2_000), FeeRates(-5, 900)))
    exchange.memory.listings = Listings([Market(market, 0)], LISTINGS.assets)
    exchange.memory.tiers[ALICE] = CustomerTier("2026-11-27", 1_234_567_890_123, {0: 1})
    found = (await exchange.call("GET", "/v1/fees")).json()
    assert (found["volume"], found["volume_asset"]) == ("1234567.890123", "USDT")
    assert (found["as_of"], found["window_days"], found["tier"]) == ("2026-11-27", 30, 2)
    (rates,) = found["markets"]
    assert rates == {"symbol": "ETH/USDT", "tier": 1, "maker_fee_ppm": -5, "taker_fee_ppm": 900}
    other = (await exchange.call("GET", "/v1/fees", key_id="key-2")).json()
    assert (other["volume"], other["tier"]) == ("0", 0)


async def test_delisted_markets_have_no_fees(exchange: Exchange) -> None:
    """Nobody pays in them any more."""
    market = replace(LISTINGS.markets[0], delisted_sequence=9)
    exchange.memory.listings = Listings([market], LISTINGS.assets)
    assert (await exchange.call("GET", "/v1/fees")).json()["markets"] == []


async def test_without_the_database_there_is_no_answer(exchange: Exchange) -> None:
    """Volumes are rows."""
    exchange.memory.away = True
    answer = await exchange.call("GET", "/v1/fees")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
