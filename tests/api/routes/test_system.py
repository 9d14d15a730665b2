"""The nine components by their names, and how their health is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.routes.system import COMPONENTS, Component, component_state, shard_state
from domain.process_beat import ProcessBeat
from tests.api.exchange import Exchange
from tests.api.memory import LISTINGS

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
    assert component_state(component, beats, {}, {0: 10}, NOW).health == health


def test_every_gateway_counts() -> None:
    """With several the component names all, and one that is away is noticed."""
    component = next(one for one in COMPONENTS if one.name == "API gateway")
    names = ["gateway", "gateway-2"]
    beats = {name: _beat(name) for name in names}
    state = component_state(component, beats, {}, {0: 1, 1: 1}, NOW, names)
    assert (state.process, state.health) == ("gateway, gateway-2", "ok")
    del beats["gateway-2"]
    assert component_state(component, beats, {}, {0: 1}, NOW, names).health == "down"


def test_how_often_books_were_compared_is_told() -> None:
    """Of all processes together, where they say it."""
    component = Component("X", ("a", "b"))
    found = [{"book_checks": 2_000, "books_wrong": 1}, {"book_checks": 5}]
    beats = {
        name: replace(_beat(name), detail=detail) for name, detail in zip("ab", found, strict=True)
    }
    note = component_state(component, beats, {}, {0: 1}, NOW).note
    assert note == "books compared 2,005 times since the start, 1 wrong"


def test_what_needs_people_is_named() -> None:
    """A process that lives and reports a concern is no healthy component; others are not blamed."""
    beat = replace(_beat("a"), detail={"attention": {"wallet": "2 parked"}})
    wanting = Component("X", ("a",), concern="wallet")
    state = component_state(wanting, {"a": beat}, {}, {0: 1}, NOW)
    assert (state.health, state.note) == ("attention", "2 parked")
    other = component_state(
        Component("Y", ("a",), concern="settlement"), {"a": beat}, {}, {0: 1}, NOW
    )
    assert (other.health, other.note) == ("ok", "")
    silent = replace(beat, updated_at=NOW - 60)
    state = component_state(
        Component("X", ("a",), concern="wallet"), {"a": silent}, {}, {0: 1}, NOW
    )
    assert (state.health, state.note) == ("silent", "2 parked")


def test_an_engine_that_does_not_trade_is_not_well() -> None:
    """The worst mode of its shards is its health; who only uses the engine is not blamed."""
    engine = Component("X", ("engine-{shard}",), trades=True)
    beats = {f"engine-{shard}": _beat(f"engine-{shard}") for shard in (0, 1)}
    assert component_state(engine, beats, {}, {0: 1, 1: 1}, NOW).health == "ok"
    for shard, mode, health in ((0, "cancel_only", "cancel-only"), (1, "halted", "halted")):
        beats[f"engine-{shard}"] = replace(beats[f"engine-{shard}"], detail={"mode": mode})
        assert component_state(engine, beats, {}, {0: 1, 1: 1}, NOW).health == health
    user = Component("Y", ("engine-{shard}",))
    assert component_state(user, beats, {}, {0: 1, 1: 1}, NOW).health == "ok"
    assert [item.name for item in COMPONENTS if item.trades] == ["Matching engine"]


def test_lag_is_counted_from_the_engines_sequence() -> None:
    """A cursor in the database says how far a component is behind."""
    component = Component("X", ("a",), "settlement.0")
    state = component_state(component, {"a": _beat("a")}, {"settlement.0": 90}, {0: 100}, NOW)
    assert (state.sequence, state.lag) == (90, 10)


def test_without_a_cursor_the_heartbeat_tells() -> None:
    """The process' own figures are used then."""
    state = component_state(Component("X", ("a",)), {"a": _beat("a", 0, 7)}, {}, {0: 100}, NOW)
    assert (state.sequence, state.lag) == (7, 3)


def test_of_several_shards_the_worst_shows() -> None:
    """Each shard's engine hosts the component; the lowest cursor and the greatest lag are shown."""
    component = Component("X", ("engine-{shard}", "reader"), "settlement.{shard}")
    beats = {name: _beat(name) for name in ("engine-0", "engine-1", "reader")}
    cursors = {"settlement.0": 90, "settlement.1": 40}
    state = component_state(component, beats, cursors, {0: 100, 1: 70}, NOW)
    assert (state.process, state.health) == ("engine-0, engine-1, reader", "ok")
    assert (state.sequence, state.lag) == (40, 30)
    del beats["engine-1"]
    assert component_state(component, beats, cursors, {0: 100, 1: None}, NOW).health == "down"


def test_a_shard_says_why_it_takes_no_orders() -> None:
    """Mode, cause and reason come from the engine's heartbeat; a silent engine has no mode."""
    market = {"symbol_id": 1, "state": "halted", "cause": "operator", "reason": "a glitch"}
    detail = {
        "mode": "cancel_only",
        "cause": "settlement_behind",
        "reason": "settlement is behind",
        "since_sequence": 7,
        "since_us": 8,
        "settlement_lag": 30,
        "settlement_lag_bound": 20,
        "closed_markets": [market, {**market, "symbol_id": 99}],
    }
    beat = replace(_beat("matching-engine-1", 0, 9), detail=detail)
    shard = shard_state(1, {"matching-engine-1": beat}, 9, LISTINGS)
    assert (shard.mode, shard.reason) == ("cancel_only", "settlement is behind")
    assert [(m.symbol, m.reason) for m in shard.closed_markets] == [("ETH/USDT", "a glitch")]
    assert shard_state(0, {"matching-engine-1": beat}, None, LISTINGS).mode is None
