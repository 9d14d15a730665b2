"""What the demo and the run of `--once` ask the engine: list markets, count its events."""

from __future__ import annotations

from collections import Counter

from domain.errors import RejectReason
from domain.events import CommandRejected, EventType, SymbolListed
from domain.instrument import Instrument
from infra.engine_grpc import EngineGrpc, EngineStatus
from infra.engine_roles import load_tokens
from infra.settings import Settings
from matching.codec import decode_events

_RANGE_BYTES = 4_000_000


def connect(
    settings: Settings, role: str, shard: int = 0, *, timeout_seconds: float = 10.0
) -> EngineGrpc:
    """Return a gRPC client of a shard's engine; close it after use."""
    token = load_tokens(settings.engine_tokens_path).of(role)
    target = settings.engine_grpc_target(shard)
    return EngineGrpc(target, role=role, token=token, timeout_seconds=timeout_seconds)


async def list_market(settings: Settings, market: Instrument, shard: int = 0) -> None:
    """List a market of the demo, without signatures; one that was listed before stays so."""
    engine = connect(settings, "admin", shard)
    try:
        outcome = (await engine.submit(market.listing()))[0]
    finally:
        await engine.close()
    if isinstance(outcome, CommandRejected):
        if outcome.reason is RejectReason.SYMBOL_ALREADY_LISTED:
            return
        raise RuntimeError(f"the engine refused to list {market.symbol}: {outcome.reason.name}")
    if not isinstance(outcome, SymbolListed):
        raise TypeError(f"the engine answered a listing with {type(outcome).__name__}")


async def status_of(settings: Settings, shard: int = 0) -> EngineStatus:
    """Return where a shard's engine is, and which it is."""
    engine = connect(settings, "reader", shard)
    try:
        return await engine.status()
    finally:
        await engine.close()


async def count_events(settings: Settings, shard: int, after: int, to: int) -> Counter[EventType]:
    """Count the engine's own events by type, of the sequences after `after` up to `to`."""
    counted: Counter[EventType] = Counter()
    engine = connect(settings, "reader", shard)
    try:
        reached = after
        while reached < to:
            before = reached
            async for found in engine.events(reached, _RANGE_BYTES):
                events = decode_events(found.data)
                counted.update(event.event_type for event in events if event.sequence <= to)
                reached = found.last_sequence
            if reached == before:
                raise RuntimeError(f"the engine has no events after {reached}, wanted up to {to}")
    finally:
        await engine.close()
    return counted
