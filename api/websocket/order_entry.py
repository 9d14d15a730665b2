"""Orders over a WebSocket: taken in their order, a bounded number at a time, answered by their id.

One lane a connection. What has come is charged to the limits that all gateways share, in one step
for all that waits; then it is carried out. Operations that reach the engine at once are in flight
together; any other is waited for, so that no order overtakes another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from api import auth
from api.auth import Caller
from api.errors import Problem
from api.services import Services
from api.websocket.order_operations import OPERATIONS, Operation, order_count, parsed
from api.websocket.requests import ClientRequest, refusal, result

LARGEST_IN_FLIGHT = 100
"""Requests of a connection that are not answered yet; one more is refused."""
CLOSE_SECONDS = 1.0
"""How long what is being carried out may take when the connection ends."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request whose parameters are understood."""

    id: int | str | None
    operation: Operation
    params: Any
    orders: int


class OrderEntry:
    """The lane of a connection that is logged in.

    `spend` is told of each refusal that no shared limit counts.
    """

    def __init__(
        self,
        services: Services,
        caller: Caller,
        reply: Callable[[bytes], object],
        spend: Callable[[], object],
    ) -> None:
        self._services = services
        self._caller = caller
        self._reply = reply
        self._spend = spend
        self._waiting: deque[Asked] = deque()
        self._arrived = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._number = 0
        self._lane = asyncio.create_task(self._run())

    def accept(self, request: ClientRequest) -> None:
        """Take a request, or refuse it at once."""
        if self._in_flight >= LARGEST_IN_FLIGHT:
            detail = f"{LARGEST_IN_FLIGHT} requests of this connection wait for their answers."
            self._refuse(request.id, Problem("too_many_in_flight", detail))
            return
        operation = OPERATIONS[request.op]
        try:
            params = parsed(operation, request.params)
        except Problem as problem:
            self._refuse(request.id, problem)
            return
        self._in_flight += 1
        self._waiting.append(Asked(request.id, operation, params, order_count(operation, params)))
        self._arrived.set()

    async def finish(self) -> None:
        """Wait until everything that was taken is answered."""
        while self._in_flight:  # noqa: ASYNC110 - once in a connection's life
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Give up what is not carried out yet; when this returns, nothing more comes of the rest.

        A batch of two shards may have reached one of them only: it has a moment to reach the other.
        """
        self._lane.cancel()
        await asyncio.gather(self._lane, return_exceptions=True)
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _refuse(self, request_id: int | str | None, problem: Problem) -> None:
        self._reply(refusal(request_id, problem))
        self._spend()

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            asked = list(self._waiting)
            self._waiting.clear()
            for one in await self._admitted(asked):
                task = asyncio.create_task(self._carry_out(one))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                if not self._is_at_once(one):
                    await asyncio.wait((task,))

    def _is_at_once(self, one: Asked) -> bool:
        """Return whether it reaches the engine before it waits; a batch may be of two shards."""
        if one.operation is OPERATIONS["batch"] and len(self._services.doors) > 1:
            return False
        return one.operation.submits_at_once

    async def _admitted(self, asked: list[Asked]) -> list[Asked]:
        """Return what may be carried out; the rest is answered."""
        try:
            await self._look_at_key()
            await self._charge(asked)
        except Problem as problem:
            if problem.code != "rate_limited" or len(asked) == 1:
                for one in asked:
                    self._done(one, refusal(one.id, problem))
                    self._spend()
                return []
        except ConnectionError:
            self._refuse_all(asked, Problem("store_unavailable"))
            return []
        except Exception:  # the lane goes on: without it the connection would never answer again
            log.exception("defect while admitting what came over a socket")
            self._refuse_all(asked, Problem("internal_error"))
            return []
        else:
            return asked
        admitted = []
        for one in asked:  # not all of it fits: as much as does
            admitted += await self._admitted([one])
        return admitted

    def _refuse_all(self, asked: list[Asked], problem: Problem) -> None:
        for one in asked:
            self._done(one, refusal(one.id, problem))

    async def _look_at_key(self) -> None:
        """Know the caller as he is by now: keys are revoked, standings and classes changed."""
        services, caller = self._services, self._caller
        key = await auth.valid_key(services.keys, caller.key_id, services.now_ms)
        if key is None:
            raise Problem("bad_signature", "The API key is not valid any more.")
        self._caller = auth.caller_of(key, caller.signature)

    async def _charge(self, asked: list[Asked]) -> None:
        caller = self._caller
        weight = sum(one.operation.access.weight for one in asked)
        orders = sum(one.orders for one in asked)
        await self._services.limiter.charge_customer(
            caller.customer_id, caller.rate_class, weight, orders
        )

    async def _carry_out(self, one: Asked) -> None:
        self._number += 1
        caller = replace(self._caller, signature=f"{self._caller.signature}/{self._number}")
        access = one.operation.access
        assert access.scope is not None, "orders are not for everybody"
        try:
            auth.require_scope(caller, access.scope, winds_down=access.winds_down)
            answer = await one.operation.run(one.params, caller, self._services)
        except Problem as problem:
            self._done(one, refusal(one.id, problem))
        except ConnectionError as error:
            log.warning("a dependency is away", error=str(error))
            self._done(one, refusal(one.id, Problem("store_unavailable")))
        except Exception:
            log.exception("defect while answering over a socket")
            self._done(one, refusal(one.id, Problem("internal_error")))
        else:
            self._done(one, result(one.id, answer.status, answer.document))

    def _done(self, one: Asked, answer: bytes) -> None:
        self._in_flight -= 1
        self._reply(answer)
