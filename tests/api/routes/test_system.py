"""The nine components by their names, and how their health is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.routes.system import COMPONENTS, Component, component_state
from domain.process_beat import ProcessBeat
from tests.api.exchange import Exchange

NOW = 1_000.0
NAMES = [
    "API gateway",
    "Order service",
    "Matching engine",
    "Account service",
    "Settlement service",
    "Risk service",
    "Liquidation service",
    "Market data service",
    "Wallet service",
]


def _beat(process: str, age: float = 0.0, sequence: int | None = None) -> ProcessBeat:
    return ProcessBeat(process, "1.0", NOW - 50, NOW - age, sequence, 3)


async def test_the_nine_components_are_listed(exchange: Exchange) -> None:
    """By the exact names of the architecture, for everyone to see."""
    answer = await exchange.http.get("/v1/system")
    assert [component["name"] for component in answer.json()["components"]] == NAMES


def test_what_is_not_built_says_so() -> None:
    """No process is claimed for a component that does not exist yet."""
    component = next(item for item in COMPONENTS if item.name == "Liquidation service")
    state = component_state(component, {}, {}, 10, NOW)
    assert (state.health, state.process) == ("not built yet", "")


@pytest.mark.parametrize(
    ("ages", "health"),
    [((0, 0), "ok"), ((0, 6), "silent"), ((0, None), "down"), ((9, None), "down")],
)
def test_a_component_is_as_healthy_as_its_worst_process(
    ages: tuple[float | None, ...], health: str
) -> None:
    """Missing beats old, old beats fresh."""
    component = Component("X", ("a", "b"))
    beats = {
        name: _beat(name, age) for name, age in zip("ab", ages, strict=True) if age is not None
    }
    assert component_state(component, beats, {}, 10, NOW).health == health


def test_what_needs_people_is_named() -> None:
    """A process that lives and reports a concern is no healthy component; others are not blamed."""
    beat = replace(_beat("a"), detail={"attention": {"wallet": "2 parked"}})
    state = component_state(Component("X", ("a",), concern="wallet"), {"a": beat}, {}, 1, NOW)
    assert (state.health, state.note) == ("attention", "2 parked")
    other = component_state(Component("Y", ("a",), concern="settlement"), {"a": beat}, {}, 1, NOW)
    assert (other.health, other.note) == ("ok", "")
    silent = replace(beat, updated_at=NOW - 60)
    state = component_state(Component("X", ("a",), concern="wallet"), {"a": silent}, {}, 1, NOW)
    assert (state.health, state.note) == ("silent", "2 parked")


def test_lag_is_counted_from_the_engines_sequence() -> None:
    """A cursor in the database says how far a component is behind."""
    component = Component("X", ("a",), "settlement.0")
    state = component_state(component, {"a": _beat("a")}, {"settlement.0": 90}, 100, NOW)
    assert (state.sequence, state.lag) == (90, 10)


def test_without_a_cursor_the_heartbeat_tells() -> None:
    """The process' own figures are used then."""
    state = component_state(Component("X", ("a",)), {"a": _beat("a", 0, 7)}, {}, 100, NOW)
    assert (state.sequence, state.lag) == (7, 3)
