"""The nine components of the exchange, by name, and how each one is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from fastapi import APIRouter

from api.edge import EdgeRoute, ServicesDep, access
from api.schemas.markets import ClosedMarketOut, ComponentOut, ShardOut, SystemOut
from domain.limits import limits
from domain.market import Listings
from domain.process_beat import ProcessBeat

router = APIRouter(prefix="/v1", tags=["system"], route_class=EdgeRoute)

FRESH_SECONDS = 5.0
ENGINE = "matching-engine-{shard}"


@dataclass(frozen=True, slots=True)
class Component:
    """One component: the processes that host it and the event log cursor that shows its work.

    `{shard}` in a process or a stream stands for each shard, `{gateway}` for each gateway.
    `concern` is the name under which its processes report what people should look at. One that
    `trades` is only as well as its shards' modes: halted, or cancel-only.
    """

    name: str
    processes: tuple[str, ...]
    stream: str = ""
    note: str = ""
    concern: str = ""
    trades: bool = False

    def processes_of(self, shards: Iterable[int], gateways: Sequence[str]) -> list[str]:
        """Return the names of the processes that host it."""
        each = list(product(sorted(shards), gateways))
        return [
            name
            for process in self.processes
            for name in dict.fromkeys(
                process.format(shard=shard, gateway=gateway) for shard, gateway in each
            )
        ]


COMPONENTS = (
    Component("API gateway", ("{gateway}",)),
    Component(
        "Order service",
        ("{gateway}", ENGINE, "order-history"),
        "order-history.{shard}",
        "validation in the gateway, life cycle in the engine, history with its own cursor",
        "history",
    ),
    Component("Matching engine", (ENGINE,), trades=True),
    Component(
        "Account service",
        (ENGINE, "temporal-worker"),
        "settlement.{shard}",
        "trading balances in the engine, the double-entry ledger in PostgreSQL",
        "settlement",
    ),
    Component("Settlement service", ("temporal-worker",), "settlement.{shard}", "", "settlement"),
    Component(
        "Risk service",
        (ENGINE, "risk-monitor-{shard}"),
        "risk-monitor.{shard}",
        "pre-trade checks in the engine, every scope judged after each mark",
    ),
    Component(
        "Liquidation service",
        ("risk-monitor-{shard}",),
        "risk-monitor.{shard}",
        "frozen by the engine, reduced by workflows",
        "risk",
    ),
    Component("Market data service", ("market-data-{shard}",), "market-data.{shard}"),
    Component(
        "Wallet service", ("chain-watcher", "wallet-signer", "temporal-worker"), concern="wallet"
    ),
)


@router.get("/system", response_model=SystemOut)
@access(None)
async def system(services: ServicesDep) -> SystemOut:
    """Return the nine components with hosting process, version, health, sequence and lag.

    Of several shards a component shows the lowest sequence and the greatest lag; `shards` has each.
    """
    beats = await services.board.beats()
    cursors = await services.board.cursors()
    now = services.now_ms() / 1000
    sequences = {
        shard: _sequence(shard, beats.get(ENGINE.format(shard=shard)), cursors)
        for shard in sorted(services.doors)
    }
    engine = beats.get(ENGINE.format(shard=0))
    return SystemOut(
        version=services.version,
        time_ms=services.now_ms(),
        sequence=sequences.get(0),
        engine=str(engine.detail["engine"]) if engine and "engine" in engine.detail else None,
        components=[
            component_state(component, beats, cursors, sequences, now, services.gateways)
            for component in COMPONENTS
        ],
        shards=[
            shard_state(shard, beats, sequence, services.listings)
            for shard, sequence in sequences.items()
        ],
        limits={name.lower(): value for name, value in limits().items()},
        temporal_ui=services.temporal_ui_url,
    )


def _sequence(shard: int, engine: ProcessBeat | None, cursors: Mapping[str, int]) -> int | None:
    """Return the shard's sequence; a heartbeat is up to a second old, readers may be ahead."""
    if engine is None or engine.sequence is None:
        return None
    reached = [cursor for stream, cursor in cursors.items() if stream.endswith(f".{shard}")]
    return max(engine.sequence, *reached, 0)


def shard_state(
    shard: int, beats: Mapping[str, ProcessBeat], sequence: int | None, listings: Listings
) -> ShardOut:
    """Return a shard's line, from its engine's last heartbeat."""
    process = ENGINE.format(shard=shard)
    beat = beats.get(process)
    if beat is None or "mode" not in beat.detail:
        return ShardOut(shard=shard, process=process, mode=None, sequence=sequence)
    detail = beat.detail
    closed = [
        ClosedMarketOut(
            symbol=listed.instrument.symbol,
            state=market["state"],
            cause=market["cause"],
            reason=market["reason"],
        )
        for market in detail["closed_markets"]
        if (listed := listings.market_by_id(market["symbol_id"])) is not None
    ]
    return ShardOut(
        shard=shard,
        process=process,
        mode=detail["mode"],
        cause=detail["cause"],
        reason=detail["reason"],
        since_sequence=detail["since_sequence"],
        since_us=detail["since_us"],
        sequence=sequence,
        settlement_lag=detail["settlement_lag"],
        settlement_lag_bound=detail["settlement_lag_bound"],
        closed_markets=tuple(closed),
    )


def component_state(
    component: Component,
    beats: Mapping[str, ProcessBeat],
    cursors: Mapping[str, int],
    engine_sequences: Mapping[int, int | None],
    now: float,
    gateways: Sequence[str] = ("gateway",),
) -> ComponentOut:
    """Return a component's line: as healthy as the worst of its processes."""
    processes = component.processes_of(engine_sequences, gateways)
    found = [beats.get(process) for process in processes]
    last = found[-1]
    reached, lag = _progress(component, cursors, engine_sequences)
    if reached is None and last is not None:
        reached = last.sequence
    if lag is None and last is not None:
        lag = last.lag
    reason = _attention(component, found)
    return ComponentOut(
        name=component.name,
        process=", ".join(processes),
        version=next((beat.version for beat in found if beat is not None), ""),
        health=_health(found, now, reason, _closed(found) if component.trades else ""),
        sequence=reached,
        lag=lag,
        note=reason or component.note or _compared(found),
    )


def _progress(
    component: Component, cursors: Mapping[str, int], engine_sequences: Mapping[int, int | None]
) -> tuple[int | None, int | None]:
    """Return the lowest cursor and the greatest lag over the shards; None where not known."""
    reached, lags = [], []
    for shard, sequence in engine_sequences.items():
        cursor = cursors.get(component.stream.format(shard=shard)) if component.stream else None
        if cursor is not None:
            reached.append(cursor)
            if sequence is not None:
                lags.append(max(0, sequence - cursor))
    return min(reached, default=None), max(lags, default=None)


def _attention(component: Component, beats: list[ProcessBeat | None]) -> str:
    """Return what people should look at, as the component's processes say it; "" if nothing."""
    reasons = []
    for beat in beats:
        attention = beat.detail.get("attention") if beat is not None else None
        if isinstance(attention, dict) and component.concern in attention:
            reasons.append(str(attention[component.concern]))
    return "; ".join(reasons)


def _compared(beats: list[ProcessBeat | None]) -> str:
    """Return how often processes held their books against those they come from; "" if they do not.

    Market data compares with the engine, a gateway with market data, at the same sequence.
    """
    details = [beat.detail for beat in beats if beat is not None and "book_checks" in beat.detail]
    if not details:
        return ""
    checks = sum(int(detail["book_checks"]) for detail in details)
    wrong = sum(int(detail.get("books_wrong", 0)) for detail in details)
    return f"books compared {checks:,} times since the start, {wrong} wrong"


def _closed(beats: list[ProcessBeat | None]) -> str:
    """Return what is worst of the engines' modes, in words; "" when all of them trade."""
    modes = {str(beat.detail.get("mode")) for beat in beats if beat is not None}
    closed = next((mode for mode in ("halted", "cancel_only") if mode in modes), "")
    return closed.replace("_", "-")


def _health(beats: list[ProcessBeat | None], now: float, reason: str, closed: str) -> str:
    if any(beat is None for beat in beats):
        return "down"
    if any(beat is not None and now - beat.updated_at > FRESH_SECONDS for beat in beats):
        return "silent"
    return closed or ("attention" if reason else "ok")
