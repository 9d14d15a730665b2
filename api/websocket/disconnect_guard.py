"""Cancel-on-disconnect: an account's orders do not outlive the socket that asked for it.

The engine's dead-man's switch is its ground: the gateway keeps setting it while the socket is open,
so it fires also when the gateway, or the machine, is gone. A socket that ends while the gateway
lives is told from that by an immediate cancel. One that ends because the gateway stops leaves the
switch running: its client has that long to log in at another one.
"""

from __future__ import annotations

import asyncio

import structlog

from api.engine_calls import submit_to_all
from api.errors import Problem, refused
from api.services import Services
from domain.commands import CancelAll, SetDeadMansSwitch
from domain.events import CommandRejected

GUARD_SECONDS = 20
RENEW_SECONDS = 5.0
_RELEASE_SECONDS = 3.0

log = structlog.get_logger(__name__)


class DisconnectGuard:
    """The guard of one connection over one account, on every shard."""

    def __init__(self, services: Services, account_id: int) -> None:
        self._services = services
        self._account_id = account_id
        self._keeping: asyncio.Task[None] | None = None

    async def arm(self) -> None:
        """Set the switch, and keep setting it; a `Problem` where a shard has not set it."""
        await self._set(GUARD_SECONDS)
        self._keeping = asyncio.create_task(self._keep())

    async def release(self, *, cancels: bool) -> None:
        """End it; `cancels`: cancel the orders now and take the switch back.

        Where that fails, or takes too long, the switch stays set and does it.
        """
        if self._keeping is not None:
            self._keeping.cancel()
        if not cancels:
            return
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                command = CancelAll(self._account_id, 0, None)
                shards = sorted(self._services.doors)
                _, failed = await submit_to_all(self._services, shards, command)
                if failed is not None:
                    raise failed
                await self._set(0)
        except (Problem, TimeoutError) as error:
            log.warning("the dead-man's switch has to cancel", error=str(error))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._set(GUARD_SECONDS)
            except Problem as problem:  # the engine is away, and takes no orders either
                log.warning("the dead-man's switch was not set again", error=str(problem))

    async def _set(self, seconds: int) -> None:
        command = SetDeadMansSwitch(self._account_id, seconds * 1_000_000)
        answered, failed = await submit_to_all(
            self._services, sorted(self._services.doors), command
        )
        if failed is not None:
            raise failed
        for events in answered.values():
            if isinstance(events[0], CommandRejected):
                raise refused(events[0].reason)
