"""Listings: what is found by which name, and what customers see of it."""

from __future__ import annotations

from domain.market import Listings, Market
from tests.api.memory import BTC_USDT, ETH_USDT, LISTINGS


def test_a_market_is_found_by_name_path_and_number() -> None:
    """And another name finds nothing."""
    assert LISTINGS.market("ETH/USDT") is LISTINGS.market("ETH-USDT") is LISTINGS.market_by_id(1)
    assert LISTINGS.market("ETH") is None
    assert LISTINGS.market_by_id(2) is None


def test_customers_see_what_an_engine_has_listed() -> None:
    """A row that waits for its engine is nobody's market yet; a delisted one stays readable."""
    waiting = Market(BTC_USDT, 0)
    over = Market(ETH_USDT, 0, listed_sequence=5, delisted_sequence=9)
    found = Listings([waiting, over], LISTINGS.assets).listed()
    assert found.markets == [over]
    assert found.assets == LISTINGS.assets
