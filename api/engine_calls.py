"""Calls into the matching engine whose failures are problems that a client can act on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from api.errors import Problem
from api.ports import EngineAway, EngineDoor, EngineOutcomeUnknown
from api.services import Services
from domain.commands import Command
from domain.events import Event

Answer = TypeVar("Answer")
REPEAT_OR_ASK = "Repeat it with the same client order id, or ask for that order."
SAFE_TO_REPEAT = "Repeating it is safe: what has happened already does not happen again."


async def submit(
    door: EngineDoor, command: Command, advice: str = SAFE_TO_REPEAT, **named: Any
) -> tuple[Event, ...]:
    """Return the events of `command`; `advice` and `named` help where the outcome is unknown."""
    try:
        return await door.submit(command)
    except EngineAway as error:
        raise away() from error
    except EngineOutcomeUnknown as error:
        raise _unknown(advice, named) from error


async def submit_many(
    door: EngineDoor, commands: Sequence[Command], advice: str, **named: Any
) -> list[tuple[Event, ...]]:
    """Return the events of each command; they are carried out in order."""
    try:
        return await door.submit_many(commands)
    except EngineAway as error:
        raise away() from error
    except EngineOutcomeUnknown as error:
        raise _unknown(advice, named) from error


async def submit_to_all(
    services: Services, shards: Sequence[int], command: Command
) -> tuple[dict[int, tuple[Event, ...]], Problem | None]:
    """Submit to all the shards at once; return each one's events, and the problem of a failure.

    A shard that hangs holds up the answer, not what the others do.
    """
    found = await asyncio.gather(
        *(submit(services.door(shard), command) for shard in shards), return_exceptions=True
    )
    answered, failed = {}, None
    for shard, outcome in zip(shards, found, strict=True):
        if isinstance(outcome, Problem):
            failed = outcome
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            answered[shard] = outcome
    return answered, failed


async def ask(question: Awaitable[Answer]) -> Answer:
    """Return the engine's answer to a question."""
    try:
        return await question
    except EngineAway as error:
        raise away() from error


def away() -> Problem:
    """Return the problem of an engine that cannot be reached."""
    return Problem(
        "engine_unavailable",
        "Nothing was sent to the matching engine; the request had no effect.",
        extra={"outcome": "nothing sent"},
        headers={"Retry-After": "1"},
    )


def _unknown(advice: str, named: dict[str, Any]) -> Problem:
    return Problem(
        "outcome_unknown",
        f"The request may have taken effect. {advice}",
        extra={"outcome": "unknown", **named},
        headers={"Retry-After": "1"},
    )
