"""The nine components of the exchange, by name, and how each one is."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from api.edge import EdgeRoute, ServicesDep, access
from api.schemas.markets import ComponentOut, SystemOut
from domain.process_beat import ProcessBeat

router = APIRouter(prefix="/v1", tags=["system"], route_class=EdgeRoute)

FRESH_SECONDS = 5.0
ENGINE = "matching-engine-0"


@dataclass(frozen=True, slots=True)
class Component:
    """One component: the processes that host it and the event log cursor that shows its work.

    `concern` is the name under which its processes report what people should look at.
    """

    name: str
    processes: tuple[str, ...]
    stream: str = ""
    note: str = ""
    concern: str = ""


COMPONENTS = (
    Component("API gateway", ("gateway",)),
    Component(
        "Order service",
        ("gateway", ENGINE, "order-history"),
        "order-history.0",
        "validation in the gateway, life cycle in the engine, history with its own cursor",
    ),
    Component("Matching engine", (ENGINE,)),
    Component(
        "Account service",
        (ENGINE, "temporal-worker"),
        "settlement.0",
        "trading balances in the engine, the double-entry ledger in PostgreSQL",
        "settlement",
    ),
    Component("Settlement service", ("temporal-worker",), "settlement.0", "", "settlement"),
    Component("Risk service", (ENGINE,), "", "pre-trade checks in the engine"),
    Component("Liquidation service", (), "", "not built yet"),
    Component("Market data service", ("market-data",), "market-data.0"),
    Component(
        "Wallet service", ("chain-watcher", "wallet-signer", "temporal-worker"), concern="wallet"
    ),
)


@router.get("/system", response_model=SystemOut)
@access(None)
async def system(services: ServicesDep) -> SystemOut:
    """Return the nine components with hosting process, version, health, sequence and lag."""
    beats = await services.board.beats()
    cursors = await services.board.cursors()
    now = services.now_ms() / 1000
    engine = beats.get(ENGINE)
    sequence = engine.sequence if engine else None
    if sequence is not None:  # a heartbeat is up to a second old; the log's readers may be ahead
        reached = [cursor for stream, cursor in cursors.items() if stream.endswith(".0")]
        sequence = max(sequence, *reached, 0)
    return SystemOut(
        version=services.version,
        time_ms=services.now_ms(),
        sequence=sequence,
        engine=str(engine.detail["engine"]) if engine and "engine" in engine.detail else None,
        components=[
            component_state(component, beats, cursors, sequence, now) for component in COMPONENTS
        ],
        temporal_ui=services.temporal_ui_url,
    )


def component_state(
    component: Component,
    beats: dict[str, ProcessBeat],
    cursors: dict[str, int],
    engine_sequence: int | None,
    now: float,
) -> ComponentOut:
    """Return a component's line: as healthy as the worst of its processes."""
    if not component.processes:
        return ComponentOut(
            name=component.name,
            process="",
            version="",
            health="not built yet",
            sequence=None,
            lag=None,
            note="planned: workflows/liquidation.py",
        )
    found = [beats.get(process) for process in component.processes]
    last = found[-1]
    reached = cursors.get(component.stream) if component.stream else None
    if reached is None and last is not None:
        reached = last.sequence
    reason = _attention(component, found)
    lag = last.lag if last is not None else None
    if component.stream in cursors and engine_sequence is not None:
        lag = max(0, engine_sequence - cursors[component.stream])
    return ComponentOut(
        name=component.name,
        process=", ".join(component.processes),
        version=next((beat.version for beat in found if beat is not None), ""),
        health=_health(found, now, reason),
        sequence=reached,
        lag=lag,
        note=reason or component.note,
    )


def _attention(component: Component, beats: list[ProcessBeat | None]) -> str:
    """Return what people should look at, as the component's processes say it; "" if nothing."""
    reasons = []
    for beat in beats:
        attention = beat.detail.get("attention") if beat is not None else None
        if isinstance(attention, dict) and component.concern in attention:
            reasons.append(str(attention[component.concern]))
    return "; ".join(reasons)


def _health(beats: list[ProcessBeat | None], now: float, reason: str) -> str:
    if any(beat is None for beat in beats):
        return "down"
    if any(beat is not None and now - beat.updated_at > FRESH_SECONDS for beat in beats):
        return "silent"
    return "attention" if reason else "ok"
