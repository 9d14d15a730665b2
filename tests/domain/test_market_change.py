"""Changes of markets: what is signed, which command that is, and which terms make no sense."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from domain.commands import DelistSymbol, ListSymbol, SetParameters
from domain.fees import FeeRates, fee_table
from domain.market_change import (
    ChangeKind,
    MarketChange,
    code_refusal,
    command_of,
    fee_rows,
    instrument_of,
    rules_of,
    terms_of,
)
from domain.perpetual_terms import BracketRow, PerpetualTerms, terms_record
from domain.risk_commands import SetPerpetualState, SetRiskParameters, TopUpFund, Trigger
from tests.api.memory import ETH, ETH_USDT, USDT

TERMS = terms_of(ETH_USDT)
TERMS_OF_PERPETUAL = PerpetualTerms((BracketRow(0, 10_000, 20_000),), 10**12, 10**9, 50)
CHANGE = MarketChange(
    "11111111-1111-1111-1111-111111111111",
    ChangeKind.LIST,
    "ETH/USDT",
    1,
    0,
    "a new market",
    1_000,
    "ann",
    TERMS,
)


def test_terms_make_the_market_that_they_came_from() -> None:
    """Through JSON and back."""
    again = instrument_of(1, ETH, USDT, json.loads(json.dumps(TERMS)))
    assert again == ETH_USDT


def test_every_field_is_signed_for() -> None:
    """Another value of any field is another text; where it stands is not part of it."""
    changes: dict[str, Any] = {
        "change_id": "2",
        "kind": ChangeKind.SET,
        "symbol": "X/Y",
        "symbol_id": 2,
        "shard": 1,
        "reason": "another",
        "expiry": 1,
        "terms": {**TERMS, "band_ppm": 7},
        "was": {"band_ppm": 1},
        "asset": {"code": "X"},
    }
    for name, value in changes.items():
        assert replace(CHANGE, **{name: value}).statement() != CHANGE.statement(), name
    later = replace(CHANGE, attempt=3, failure="no", sequence=5)
    assert later.statement() == CHANGE.statement()


def test_each_attempt_has_a_key_of_its_own() -> None:
    """A refusal is remembered under the first one's."""
    assert CHANGE.key == replace(CHANGE).key != replace(CHANGE, attempt=1).key
    command = command_of(CHANGE, ETH_USDT)
    assert isinstance(command, ListSymbol)
    assert command.key == CHANGE.key
    changed = command_of(replace(CHANGE, kind=ChangeKind.SET, terms=rules_of(ETH_USDT)), ETH_USDT)
    assert isinstance(changed, SetParameters)


def test_a_delisting_says_as_much_as_an_engine_keeps() -> None:
    """Cut to its length, and printable."""
    change = replace(CHANGE, kind=ChangeKind.DELIST, reason="€\n" + "x" * 200)
    assert command_of(change, ETH_USDT) == DelistSymbol(1, "ann", "  " + "x" * 94)


def test_what_is_decided_about_a_perpetual_is_one_command() -> None:
    """Its terms and the fund's cash under the change's key, its end with who and why."""
    record = terms_record(TERMS_OF_PERPETUAL)
    changed = replace(CHANGE, kind=ChangeKind.RISK, terms={"perpetual": record})
    market = replace(ETH_USDT, terms=TERMS_OF_PERPETUAL)
    assert command_of(changed, market) == SetRiskParameters(1, TERMS_OF_PERPETUAL, changed.key)
    was = {"perpetual": {**record, "max_slices": 9}}
    summary = replace(changed, was=was).summary()
    assert summary == "set the risk terms of ETH/USDT: max_slices 9 -> 5"

    ended = replace(CHANGE, kind=ChangeKind.SETTLE)
    assert command_of(ended, market) == SetPerpetualState(1, Trigger.SETTLE, "ann", CHANGE.reason)
    assert "final index" in ended.summary()

    given = replace(CHANGE, kind=ChangeKind.TOP_UP, terms={"amount": "12.5"}, expiry=86_400 + 7)
    command = command_of(given, market)
    assert command == TopUpFund(given.key, USDT.asset_id, 12_500_000, 7_000_000)
    assert "12.5" in given.summary()
    assert len({one.action for one in (changed, ended, given)}) == 3


def test_a_summary_names_what_changes() -> None:
    """Old and new, and nothing that stays."""
    was = rules_of(ETH_USDT)
    terms = {**was, "band_ppm": 5, "fees": [[1, 2]]}
    change = replace(CHANGE, kind=ChangeKind.SET, was=was, terms=terms)
    assert change.summary() == "set ETH/USDT: band_ppm 100000 -> 5, fees [[1000,2000]] -> [[1,2]]"


def test_equal_last_tiers_are_one_row() -> None:
    """As the command line and the statement write them."""
    assert fee_rows(fee_table(FeeRates(1, 2), FeeRates(0, 1))) == [[1, 2], [0, 1]]
    assert fee_rows(fee_table(FeeRates(1, 2))) == [[1, 2]]


@pytest.mark.parametrize("code", ["", "eth", "ETH ", "A" * 17, "ETH\n", "É"])
def test_a_code_that_is_none(code: str) -> None:
    """Capital letters and digits, 1 to 16."""
    assert code_refusal(code) is not None
    assert code_refusal("ETH2") is None


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"fees": []}, "needs fees"),
        ({"listing_price": "0"}, "listing price must be positive"),
        ({"max_order": "0"}, "largest order must be positive"),
        ({"max_open_orders": 0}, "open order"),
        ({"band_ppm": -1}, "band"),
        ({"max_order": "1000000000000"}, "64 bits"),
        ({"max_position": "1000000000000000000"}, "64 bits"),
        ({"max_taker_fee_ppm": 1_000_000}, "highest taker fee is not below 1"),
    ],
)
def test_terms_that_make_no_market(terms: dict[str, Any], words: str) -> None:
    """Each refusal says which rule it is."""
    with pytest.raises(ValueError, match=words):
        instrument_of(1, ETH, USDT, {**TERMS, **terms})


def test_a_market_needs_two_assets() -> None:
    """Of its own base it cannot be the quote."""
    with pytest.raises(ValueError, match="two different"):
        instrument_of(1, ETH, ETH, TERMS)
