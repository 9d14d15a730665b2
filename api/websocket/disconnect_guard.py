"""Cancel-on-disconnect: an account's orders do not outlive the socket that asked for it.

The engine's dead-man's switch is its ground: the gateway keeps setting it while the socket is open,
so it fires also when the gateway, or the machine, is gone. A socket that ends while the gateway
lives is told from that by an immediate cancel. One that ends because the gateway stops leaves the
switch running: its client has that long to log in at another one.

The switch is the account's, and so is the guard: the sockets of an account that ask for it share
one. Whichever of them ends, all orders are cancelled; the switch is taken back with the last. A
guard at another gateway hears that from the event log, and sets the switch again at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

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


class GuardEar:
    """Hears on one shard that the account's switch was taken back, and by `lost` tells the guard.

    It follows the account as the channel `account` does. Where events are lost, it may have been.
    """

    def __init__(self, account_id: int, lost: asyncio.Event) -> None:
        self.account_id = account_id
        self.sequence = -1
        self.is_gone = False
        self._lost = lost
        self._has_begun = False

    def snapshot(self, sequence: int, orders: Sequence[Mapping[str, Any]]) -> None:
        """Begin; a second time means that events are lost."""
        self.sequence = sequence
        if self._has_begun:
            self._lost.set()
        self._has_begun = True

    def resume(self, sequence: int) -> None:
        """Go on after a sequence; an ear never asks for that."""
        self.sequence = sequence

    def update(self, sequence: int, time_us: int, events: Sequence[Mapping[str, Any]]) -> None:
        """Look for a switch that runs no more."""
        for event in events:
            taken_back = event["event"] == "dead_mans_switch_set" and not event["deadline_us"]
            if taken_back or event["event"] == "dead_mans_switch_fired":
                self._lost.set()

    def margin_call(self, call: Mapping[str, Any]) -> None:
        """Hear a warning, which is no business of a guard."""


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
        self._lost = asyncio.Event()
        self._ears: dict[int, GuardEar] = {}

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
            self._listen_no_more()
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
            await self._listen()
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._lost.wait()
            self._lost.clear()
            try:
                await self._set(GUARD_SECONDS)
            except Problem as problem:  # the engine is away, and takes no orders either
                log.warning("the dead-man's switch was not set again", error=str(problem))

    async def _listen(self) -> None:
        """Follow the account on every shard; where that fails, it is tried at the next turn."""
        for shard, tail in self._services.accounts.tails.items():
            if shard in self._ears:
                continue
            ear = GuardEar(self.account_id, self._lost)
            try:
                await tail.join(ear, None, self._services)
                self._ears[shard] = ear
            except Problem as problem:
                log.warning("a guard does not hear its account", error=str(problem))
            finally:
                if self._ears.get(shard) is not ear:
                    tail.leave(ear)

    def _listen_no_more(self) -> None:
        for shard, ear in self._ears.items():
            self._services.accounts.tails[shard].leave(ear)
        self._ears.clear()

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
