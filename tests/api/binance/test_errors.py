"""Each refusal of the native API has its words in the dialect."""

from __future__ import annotations

import pytest

from api.binance.errors import translated
from api.errors import PROBLEMS, Problem


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_translates(code: str) -> None:
    """A negative code, a message, and a status that says whose fault it is."""
    for futures in (False, True):
        refusal = translated(Problem(code, "Why."), futures=futures)
        assert refusal.code < 0
        assert refusal.message
        is_ours = PROBLEMS[code].status >= 500
        assert (refusal.status >= 500) == is_ours, refusal.body()


@pytest.mark.parametrize(
    ("code", "futures", "expected"),
    [
        (
            "insufficient_funds",
            False,
            (-2010, "Account has insufficient balance for requested action."),
        ),
        (
            "insufficient_funds",
            True,
            (-2019, "Account has insufficient balance for requested action."),
        ),
        ("post_only_would_trade", False, (-2010, "Order would immediately match and take.")),
        ("post_only_would_trade", True, (-5022, "Order would immediately match and take.")),
        ("price_outside_band", False, (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")),
        ("account_not_active", False, (-2010, "This account may not place or cancel orders.")),
        ("symbol_halted", True, (-1013, "Market is closed.")),
    ],
)
def test_what_clients_compare_is_exact(code: str, futures: bool, expected: tuple[int, str]) -> None:
    """Clients look these messages up letter by letter: no detail of ours is in them."""
    refusal = translated(Problem(code, "Detail."), futures=futures)
    assert (refusal.code, refusal.message) == expected
