"""Cancel-on-disconnect: an account's orders do not outlive the socket that asked for it.

The engine's dead-man's switch is its ground: the gateway keeps setting it while the socket is open,
so it fires also when the gateway, or the machine, is gone. A socket that ends while the gateway
lives is told from that by an immediate cancel. One that ends because the gateway stops leaves the
switch running: its client has that long to log in at another one.

The switch is the account's, and so is the guard: the sockets of an account that ask for it share
one. Whichever of them ends, all orders are cancelled; the switch is taken back with the last.
"""

from __future__ import annotations

import asyncio

import structlog

from api.auth import Caller
from api.engine_calls import submit_to_all
from api.errors import Problem, refused
from api.services import Services
from domain.commands import CancelAll, SetDeadMansSwitch
from domain.events import CommandRejected

GUARD_SECONDS = 20
RENEW_SECONDS = 5.0
ARM_WEIGHT = 10
"""What asking for it costs; that it is set again is one command an account and five seconds."""
_RELEASE_SECONDS = 3.0

log = structlog.get_logger(__name__)


class DisconnectGuards:
    """The guards of this gateway: one an account."""

    def __init__(self) -> None:
        self._guards: dict[int, DisconnectGuard] = {}

    async def arm(self, services: Services, caller: Caller) -> DisconnectGuard:
        """Return the guard of the caller's account, with one more socket under it.

        A `Problem` where a shard has not set the switch; then this socket is not under it.
        """
        account_id = caller.customer_id
        await services.limiter.charge_customer(account_id, caller.rate_class, ARM_WEIGHT)
        if account_id not in self._guards:
            self._guards[account_id] = DisconnectGuard(services, account_id)
        guard = self._guards[account_id]
        try:
            await guard.arm()
        finally:
            self._forget(account_id)
        return guard

    async def release(self, guard: DisconnectGuard, *, cancels: bool) -> None:
        """Take a socket from under its guard; see `DisconnectGuard.release`."""
        try:
            await guard.release(cancels=cancels)
        finally:
            self._forget(guard.account_id)

    def _forget(self, account_id: int) -> None:
        guard = self._guards.get(account_id)
        if guard is not None and guard.is_idle:
            del self._guards[account_id]


class DisconnectGuard:
    """The guard over one account, on every shard, and how many sockets are under it."""

    def __init__(self, services: Services, account_id: int) -> None:
        self.account_id = account_id
        self._services = services
        self._socket_count = 0
        self._busy = 0  # calls of `arm` and `release` that have not returned
        self._keeping: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Return whether nobody needs it any more."""
        return self._socket_count == 0 and self._busy == 0

    async def arm(self) -> None:
        """Set the switch, and keep setting it; a `Problem` where a shard has not set it."""
        self._socket_count += 1
        self._busy += 1
        try:
            await self._set(GUARD_SECONDS)
            if self._keeping is None:
                self._keeping = asyncio.create_task(self._keep())
        except BaseException:
            await self._leave(cancels=False, takes_back=True)
            raise
        finally:
            self._busy -= 1

    async def release(self, *, cancels: bool) -> None:
        """Take one socket from under it; `cancels`: cancel the account's orders now.

        With the last one the switch is taken back. Where that fails, or takes too long, the switch
        stays set and cancels. Without `cancels` it stays set, too.
        """
        self._busy += 1
        try:
            await self._leave(cancels=cancels, takes_back=cancels)
        finally:
            self._busy -= 1

    async def _leave(self, *, cancels: bool, takes_back: bool) -> None:
        self._socket_count -= 1
        if self._socket_count == 0 and self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                if cancels:
                    await self._cancel_all()
                if takes_back and self._socket_count == 0:
                    await self._set(0)
        except (Problem, TimeoutError) as error:
            log.warning("the dead-man's switch has to cancel", error=str(error))

    async def _cancel_all(self) -> None:
        shards = sorted(self._services.doors)
        _, failed = await submit_to_all(self._services, shards, CancelAll(self.account_id, 0, None))
        if failed is not None:
            raise failed

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._set(GUARD_SECONDS)
            except Problem as problem:  # the engine is away, and takes no orders either
                log.warning("the dead-man's switch was not set again", error=str(problem))

    async def _set(self, seconds: int) -> None:
        command = SetDeadMansSwitch(self.account_id, seconds * 1_000_000)
        answered, failed = await submit_to_all(
            self._services, sorted(self._services.doors), command
        )
        if failed is not None:
            raise failed
        for events in answered.values():
            if isinstance(events[0], CommandRejected):
                raise refused(events[0].reason)
