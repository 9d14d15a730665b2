"""New orders on perpetuals, from the dialect's parameters to the native request."""

from __future__ import annotations

from typing import Any

import pytest

from api.binance.errors import Refusal
from api.binance.futures_requests import KINDS, futures_request, trailing_ticks
from api.binance.parameters import Parameters
from tests.api.perpetual_exchange import ETH_PERP

LIMIT = {"type": "LIMIT", "side": "BUY", "quantity": "1", "price": "2500", "timeInForce": "GTC"}
STOP = {"type": "STOP_MARKET", "side": "SELL", "quantity": "1", "stopPrice": "2400"}


def made(fields: dict[str, str], reference_ticks: int = 0) -> dict[str, Any]:
    """Return the native request's members that are not as they usually are."""
    order = futures_request(Parameters(fields), ETH_PERP, reference_ticks)
    return order.model_dump(exclude_defaults=True, exclude={"symbol", "side"})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (LIMIT, {"price": "2500", "quantity": "1", "time_in_force": "gtc"}),
        (
            {**LIMIT, "timeInForce": "GTX"},
            {"price": "2500", "quantity": "1", "time_in_force": "gtc", "post_only": True},
        ),
        (
            {**LIMIT, "timeInForce": "GTD", "goodTillDate": "1800000000000"},
            {
                "price": "2500",
                "quantity": "1",
                "time_in_force": "gtd",
                "expires_at_us": 1_800_000_000_000_000,
            },
        ),
        (
            {"type": "MARKET", "side": "SELL", "quantity": "1", "reduceOnly": "true"},
            {"type": "market", "quantity": "1", "reduce_only": True},
        ),
        (
            STOP,
            {"type": "stop", "quantity": "1", "trigger_price": "2400", "trigger_source": "last"},
        ),
        (
            {
                "type": "TAKE_PROFIT",
                "side": "SELL",
                "quantity": "1",
                "price": "2600",
                "triggerPrice": "2600",
                "workingType": "MARK_PRICE",
                "timeInForce": "GTE_GTC",
            },
            {
                "type": "take_profit_limit",
                "quantity": "1",
                "price": "2600",
                "trigger_price": "2600",
                "trigger_source": "mark",
                "time_in_force": "gtc",
            },
        ),
        (
            {"type": "STOP_MARKET", "side": "SELL", "stopPrice": "2400", "closePosition": "true"},
            {
                "type": "stop",
                "trigger_price": "2400",
                "trigger_source": "last",
                "close_position": True,
            },
        ),
    ],
)
def test_orders_are_translated(fields: dict[str, str], expected: dict[str, Any]) -> None:
    """Type, times in force, triggers and closing have their native words."""
    assert made(fields) == expected


def test_a_trailing_stop_is_offset_by_its_rate() -> None:
    """A percentage of the price of the moment, rounded up to a tick."""
    fields = {"type": "TRAILING_STOP_MARKET", "side": "SELL", "quantity": "1"}
    order = made({**fields, "callbackRate": "0.5"}, 250_001)
    assert order["trailing_offset"] == "12.51"  # 1250.005 ticks
    assert trailing_ticks("0.1", 1) == 1
    with pytest.raises(Refusal) as refused:
        made({**fields, "callbackRate": "1", "activationPrice": "2500"}, 250_000)
    assert refused.value.code == -1128


@pytest.mark.parametrize("rate", ["0", "0.09", "10.1", "-1", "1e1", "0.00001"])
def test_rates_that_no_stop_trails_by(rate: str) -> None:
    """From 0.1 % to 10 %, in plain decimals."""
    with pytest.raises(Refusal):
        trailing_ticks(rate, 250_000)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({**LIMIT, "type": "LIMIT_MAKER"}, -1116),
        ({**LIMIT, "side": "LONG"}, -1117),
        ({**LIMIT, "timeInForce": "DAY"}, -1115),
        ({**LIMIT, "timeInForce": "GTD"}, -1102),
        ({**LIMIT, "timeInForce": "GTD", "goodTillDate": "-1"}, -1100),
        ({**LIMIT, "positionSide": "LONG"}, -4061),
        ({**LIMIT, "price": ""}, -1102),
        ({**LIMIT, "quantity": ""}, -1102),
        ({**STOP, "stopPrice": ""}, -1102),
        ({**STOP, "workingType": "INDEX_PRICE"}, -1130),
    ],
)
def test_what_is_missing_or_wrong_is_named(fields: dict[str, str], code: int) -> None:
    """Each has the code that clients know."""
    with pytest.raises(Refusal) as refused:
        made(fields)
    assert refused.value.code == code


def test_every_type_has_a_native_one() -> None:
    """And no two have the same."""
    assert len(set(KINDS.values())) == len(KINDS) == 7
