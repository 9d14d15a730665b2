"""The signer's windows: at most so many signatures and so much in an hour and a day."""

from __future__ import annotations

import pytest

from domain.signing_limits import LimitRefusal, Payment, SigningLimits, limit_refusal

LIMITS = SigningLimits(signatures_per_hour=3, amount_per_hour=100, amount_per_day=200)


def _payment(name: str, amount: int, at: int, asset: str = "ETH") -> Payment:
    return Payment(name, asset, amount, "0xReceiver", at)


@pytest.mark.parametrize(
    ("earlier", "refusal"),
    [
        ([], None),
        ([("a", 90, 99_999)], None),
        ([("a", 91, 99_999)], LimitRefusal.HOURLY_AMOUNT_EXCEEDED),
        ([("a", 91, 96_400)], None),
        ([("a", 95, 96_000), ("b", 95, 90_000)], None),
        ([("a", 96, 96_000), ("b", 95, 90_000)], LimitRefusal.DAILY_AMOUNT_EXCEEDED),
        ([("a", 96, 96_000), ("b", 95, 13_600)], None),
        ([("a", 1, 99_999), ("b", 1, 99_998)], None),
        ([("a", 1, 99_999), ("b", 1, 99_998), ("c", 1, 99_997)], LimitRefusal.TOO_MANY_SIGNATURES),
        ([("a", 1, 99_999), ("a", 1, 99_998), ("a", 1, 99_997)], None),
        ([("new", 99, 99_999)], None),
        ([("a", 91, 200_000)], LimitRefusal.HOURLY_AMOUNT_EXCEEDED),
    ],
)
def test_ten_more_at_100000(
    earlier: list[tuple[str, int, int]], refusal: LimitRefusal | None
) -> None:
    """Exactly at the limit passes; a second outside the window does not count; each counts once."""
    new = _payment("new", 10, 100_000)
    assert limit_refusal(new, [_payment(*it) for it in earlier], LIMITS) is refusal


def test_amounts_are_of_one_asset_and_signatures_of_all() -> None:
    """Units of two assets cannot be added."""
    other = [_payment(name, 99, 99_999, "USDT") for name in "ab"]
    assert limit_refusal(_payment("new", 10, 100_000), other, LIMITS) is None
    other.append(_payment("c", 1, 99_999, "BTC"))
    refused = limit_refusal(_payment("new", 10, 100_000), other, LIMITS)
    assert refused is LimitRefusal.TOO_MANY_SIGNATURES
