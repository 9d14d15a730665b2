"""How growth is judged: beside new books of the same minute, not beside the morning's."""

from __future__ import annotations

import pytest

from workers.settlement_growth import Point, plot, summary


def points(costs: list[float], new: float) -> list[Point]:
    """Return a step of 100 trades for each cost; each second one has a control."""
    return [Point((n + 1) * 100, cost, new if n % 2 else None) for n, cost in enumerate(costs)]


def test_what_slows_everything_is_no_growth() -> None:
    """Where new books cost as much as the grown ones, the ratio to new is one."""
    report = summary(points([20.0] * 6 + [40.0] * 6, 40.0))
    assert (report["first_us_per_trade"], report["last_us_per_trade"]) == (20.0, 40.0)
    assert (report["ratio"], report["ratio_to_new"]) == (2.0, 1.0)
    assert report["rows"] == 1200


def test_the_quickest_steps_are_compared() -> None:
    """One undisturbed step among disturbed ones shows what grown books cost."""
    report = summary([*points([20.0] * 4 + [90.0] * 3, 15.0), Point(800, 16.5, 60.0)])
    assert (report["quickest_us_per_trade"], report["quickest_new_us_per_trade"]) == (16.5, 15.0)
    assert report["ratio_of_quickest"] == 1.1


def test_growth_is_told() -> None:
    """Where grown books cost half as much again, both ratios say so."""
    report = summary(points([20.0] * 6 + [30.0] * 8, 20.0))
    assert (report["ratio"], report["ratio_to_new"]) == (1.5, 1.5)


@pytest.mark.parametrize("number", [1, 7])
def test_a_dot_for_each_control(number: int) -> None:
    """The picture has a point for each step and a dot for each control."""
    drawn = plot(points([10.0] * number, 9.0))
    assert len(drawn.partition('points="')[2].partition('"')[0].split()) == number
    assert drawn.count("<circle") == number // 2
