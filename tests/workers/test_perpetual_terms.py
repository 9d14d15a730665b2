"""The terms of a perpetual as staff write them."""

from __future__ import annotations

from typing import Any

import pytest

from domain.instrument import Asset, Instrument
from domain.market_change import instrument_of, terms_of
from domain.perpetual_terms import terms_of_record, terms_record
from domain.risk_commands import ListPerpetual
from tests.api.perpetual_exchange import ETH_PERP
from workers.perpetual_terms import terms_from

USDT = Asset(1, "USDT", 6, 6)
BRACKETS = [
    {"floor": "0", "maintenance_ppm": 10_000, "initial_ppm": 20_000},
    {"floor": "50000", "maintenance_ppm": 20_000, "initial_ppm": 40_000},
]
FILE = {
    "brackets": BRACKETS,
    "cap": "10000000",
    "impact": "1000",
    "max_leverage": 50,
    "funding_interval_seconds": 3_600,
}


def test_a_file_becomes_the_terms_that_are_signed_and_listed() -> None:
    """File, signed statement, row and command say the same; a spot market has none of it."""
    record = terms_from(FILE, USDT)
    assert ETH_PERP.terms is not None
    assert terms_of_record(record) == ETH_PERP.terms
    signed = terms_of(ETH_PERP)
    assert signed["perpetual"] == terms_record(ETH_PERP.terms)
    again: Instrument = instrument_of(7, ETH_PERP.base, ETH_PERP.quote, signed)
    assert again == ETH_PERP
    listing = again.listing(5)
    assert isinstance(listing, ListPerpetual)
    assert (listing.terms, listing.key) == (ETH_PERP.terms, 5)
    assert again.symbol == "ETH/USDT-PERP"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cap": None}, "needs cap"),
        ({"cap_units": 5}, "has no cap_units"),
        ({"cap": 5}, "an amount of USDT in text"),
        ({"cap": "0.0000001"}, "decimals"),
        ({"max_leverage": "50"}, "max_leverage: a whole number"),
        ({"max_leverage": True}, "max_leverage: a whole number"),
        ({"brackets": []}, "1 to 8"),
        ({"brackets": [{"floor": "0"}]}, "exactly floor"),
        ({"brackets": BRACKETS * 5}, "1 to 8"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(changed: dict[str, Any], words: str) -> None:
    """Before anybody signs."""
    document = {name: value for name, value in (FILE | changed).items() if value is not None}
    with pytest.raises(ValueError, match=words):
        terms_from(document, USDT)


def test_unlawful_terms_are_refused_in_words() -> None:
    """What the engine would refuse is refused before it is signed."""
    rising = [{**BRACKETS[0]}, {**BRACKETS[1], "maintenance_ppm": 9_000}]
    signed = terms_of(ETH_PERP) | {"perpetual": terms_from(FILE | {"brackets": rising}, USDT)}
    with pytest.raises(ValueError, match="brackets mmr falls"):
        instrument_of(7, ETH_PERP.base, ETH_PERP.quote, signed)
    with pytest.raises(ValueError, match="below 100 %"):
        instrument_of(7, ETH_PERP.base, ETH_PERP.quote, terms_of(ETH_PERP) | {"band_ppm": 10**6})
