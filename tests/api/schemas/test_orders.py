"""Decimal text to ticks and lots, by any text."""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Problem
from api.order_commands import place_command
from api.schemas import orders as schemas
from api.schemas.orders import PlaceOrderIn
from domain.money import INT64_MAX
from domain.order import (
    CloseReason,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerSource,
)
from tests.api.memory import ETH_USDT

_numberish = st.text(alphabet="0123456789.-+eE, _", min_size=1, max_size=40)


@given(price=_numberish, quantity=_numberish)
def test_any_text_becomes_positive_int64_or_a_problem(price: str, quantity: str) -> None:
    """Whatever is written, the engine only ever gets positive 64-bit counts, exactly as written."""
    order = PlaceOrderIn(symbol="ETH/USDT", side="buy", price=price, quantity=quantity)
    with suppress(Problem):
        command = place_command(order, ETH_USDT, 1, "x")
        assert 0 < command.price_ticks <= INT64_MAX
        assert 0 < command.quantity_lots <= INT64_MAX
        assert ETH_USDT.price_ticks(ETH_USDT.price_text(command.price_ticks)) == command.price_ticks


@given(ticks=st.integers(1, 10**12), lots=st.integers(1, 10**12))
def test_text_of_ticks_comes_back(ticks: int, lots: int) -> None:
    """What the API writes it also reads."""
    order = PlaceOrderIn(
        symbol="ETH/USDT",
        side="sell",
        price=ETH_USDT.price_text(ticks),
        quantity=ETH_USDT.quantity_text(lots),
    )
    command = place_command(order, ETH_USDT, 1, "x")
    assert (command.price_ticks, command.quantity_lots) == (ticks, lots)


@pytest.mark.parametrize(
    ("words", "members"),
    [
        (schemas.SideText, Side),
        (schemas.TypeText, OrderType),
        (schemas.TimeInForceText, TimeInForce),
        (schemas.SelfTradeText, SelfTrade),
        (schemas.StatusText, OrderStatus),
        (schemas.CloseReasonText, CloseReason),
    ],
)
def test_the_api_has_a_word_for_everything(words: Any, members: type[IntEnum]) -> None:
    """Whatever the engine may say of an order can be written, and nothing else is accepted."""
    assert sorted(get_args(words)) == sorted(member.name.lower() for member in members)


def test_what_sets_an_order_off_has_its_words() -> None:
    """Each source has one, and there are no others."""
    assert list(get_args(schemas.TriggerSourceText)) == [source.word for source in TriggerSource]
