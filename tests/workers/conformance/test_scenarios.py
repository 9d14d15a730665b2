"""Command scripts: the engines agree, and the outcome is the one worked out by hand."""

from __future__ import annotations

import pytest

from tests.recorded import recorded
from workers.conformance.desk import DivergenceError
from workers.conformance.scenarios import Outcome, ScenarioDesk, ScriptError

BOOK = """
enable matching
add symbol 0 EURUSD
add book 0   # a comment
add limit buy 1 0 10 10
add limit buy 2 0 20 20
add limit buy 3 0 30 30
"""


def _run(script: str) -> Outcome:
    return ScenarioDesk("core", "reference").run(script)


@pytest.mark.parametrize(
    ("script", "trades", "open_orders"),
    [
        ("add market sell 4 0 40", [(3, 4, 30, 30), (2, 4, 20, 10)], {1: (10, 10), 2: (20, 10)}),
        ("add ioc limit sell 4 0 20 100", [(3, 4, 30, 30), (2, 4, 20, 20)], {1: (10, 10)}),
        ("add fok limit sell 4 0 20 60", [], {1: (10, 10), 2: (20, 20), 3: (30, 30)}),
        (
            "add slippage market sell 4 0 100 10",
            [(3, 4, 30, 30), (2, 4, 20, 20)],
            {1: (10, 10)},
        ),
        ("reduce order 3 10", [], {1: (10, 10), 2: (20, 20), 3: (30, 20)}),
        ("modify order 1 25 7", [], {1: (25, 7), 2: (20, 20), 3: (30, 30)}),
        (
            "add market sell 4 0 5\nmodify order 3 30 30",
            [(3, 4, 30, 5)],
            {1: (10, 10), 2: (20, 20), 3: (30, 30)},
        ),
        (
            "add market sell 4 0 5\nmitigate order 3 30 12",
            [(3, 4, 30, 5)],
            {1: (10, 10), 2: (20, 20), 3: (30, 7)},
        ),
        (
            "add market sell 4 0 5\nmitigate order 3 30 5",
            [(3, 4, 30, 5)],
            {1: (10, 10), 2: (20, 20)},
        ),
        ("replace order 1 9 15 3", [], {2: (20, 20), 3: (30, 30), 9: (15, 3)}),
        ("delete order 2", [], {1: (10, 10), 3: (30, 30)}),
    ],
)
def test_each_command_does_what_it_says(
    script: str,
    trades: list[tuple[int, int, int, int]],
    open_orders: dict[int, tuple[int, int]],
) -> None:
    """Behind a book of three buys: trades as (maker, taker, price, lots), and what stays."""
    outcome = _run(BOOK + script)
    assert outcome.trades == trades
    assert outcome.open_orders == open_orders
    assert outcome.unsupported == []


def test_orders_that_wait() -> None:
    """A stop is set off by a trade at its price; one whose price is through already is refused."""
    outcome = _run(
        BOOK
        + "add market sell 4 0 5\nadd stop sell 5 0 20 7\nadd stop-limit sell 6 0 10 9 4\n"
        + "add trailing stop sell 7 0 0 3 5 1\nadd stop sell 8 0 30 1\n"
        + "add market sell 9 0 25\nadd market sell 10 0 1"
    )
    assert outcome.refused == [("add stop sell 8 0 30 1", "WOULD_TRIGGER_IMMEDIATELY")]
    assert outcome.triggered == [(7, 20), (5, 20)]
    assert outcome.waiting == {6: 10}
    assert outcome.trades == [
        (3, 4, 30, 5),
        (3, 9, 30, 25),
        (2, 10, 20, 1),
        (2, 7, 20, 3),
        (2, 5, 20, 7),
    ]
    assert outcome.open_orders == {1: (10, 10), 2: (20, 9)}


def test_refusals_and_what_there_is_not() -> None:
    """A refused command is noted with its reason; an order type that we lack is named."""
    outcome = _run(BOOK + "add fok limit sell 4 0 10 99\nadd aon limit buy 5 0 10 1")
    assert outcome.refused == [("add fok limit sell 4 0 10 99", "FOK_NOT_FILLABLE")]
    assert outcome.unsupported == ["add aon limit buy 5 0 10 1"]
    empty = _run("add book 0\nadd slippage market buy 1 0 5 5")
    assert empty.refused == [("add slippage market buy 1 0 5 5", "NO_LIQUIDITY")]


@pytest.mark.parametrize(
    "line", ["buy everything", "add limit buy 1 0 10", "add limit up 1 0 10 10", "delete order 77"]
)
def test_other_lines_stop(line: str) -> None:
    """What is no command of the tool is refused by name, not passed over."""
    with pytest.raises(ScriptError, match=line.split()[0]):
        _run(BOOK + line)


def test_engines_that_differ_are_caught() -> None:
    """The comparison itself works: an engine with another past gives other bytes."""
    desk = ScenarioDesk("core", "reference")
    desk.run(BOOK)
    core = desk._desk.engines[0]
    desk._desk.engines[0] = ScenarioDesk("core")._desk.engines[0]
    desk._desk.engines[0].apply(b"")
    assert core.sequence > desk._desk.engines[0].sequence
    with pytest.raises(DivergenceError):
        desk._desk.digest()


# Worked out by hand from the scripts; the others are checked for agreement alone.
EXPECTED: dict[str, tuple[list[tuple[int, int, int, int]], dict[int, tuple[int, int]]]] = {
    "scenario-03": ([], {}),
    "scenario-04": ([(1, 2, 10, 10)], {}),
    "scenario-05": ([(1, 2, 10, 10)], {}),
    "scenario-06": (
        [(16, 19, 40, 30), (17, 19, 40, 20), (18, 19, 40, 10), (13, 19, 50, 30), (14, 19, 50, 10)],
        {1: (10, 10), 2: (10, 20), 3: (10, 30), 4: (20, 10), 5: (20, 20), 6: (20, 30),
         7: (30, 10), 8: (30, 20), 9: (30, 30), 10: (60, 30), 11: (60, 20), 12: (60, 10),
         14: (50, 10), 15: (50, 10)},
    ),
    "scenario-07": (
        [(7, 19, 30, 10), (8, 19, 30, 20), (9, 19, 30, 30), (4, 19, 20, 10), (5, 19, 20, 20),
         (6, 19, 20, 30)],
        {1: (10, 10), 2: (10, 20), 3: (10, 30), 10: (60, 30), 11: (60, 20), 12: (60, 10),
         13: (50, 30), 14: (50, 20), 15: (50, 10), 16: (40, 30), 17: (40, 20), 18: (40, 10)},
    ),
    "scenario-09": ([(3, 4, 30, 30), (2, 4, 20, 20), (1, 4, 10, 10)], {}),
    "scenario-10": ([(3, 5, 30, 30), (2, 5, 20, 10)], {1: (10, 10), 2: (20, 10)}),
    "scenario-14": ([(1, 2, 10, 20)], {}),
}  # fmt: skip


@pytest.mark.recorded
@pytest.mark.parametrize("number", range(1, 15))
def test_recorded_scripts(number: int) -> None:
    """Both engines agree after every command of each script, and with the outcome by hand."""
    name = f"scenario-{number:02d}"
    outcome = _run((recorded("cpptrader_scenarios") / f"{name}.txt").read_text())
    trades, open_orders = EXPECTED.get(name, (outcome.trades, outcome.open_orders))
    assert outcome.trades == trades
    assert outcome.open_orders == open_orders
