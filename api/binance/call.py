"""The edge of the dialect's routes: who asks, what it costs, and the shape of answers.

What it protects is the same as at the native API's edge: keys, scopes, standings, limits and the
size of bodies; only the spelling differs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import auth
from api.auth import Caller
from api.binance.auth import Session, known_caller, signed_caller
from api.binance.errors import Refusal, malformed, translated
from api.binance.parameters import Parameters, Signed, read
from api.edge import BoundedRequest, charge_stranger, host_of, services_of
from api.errors import Problem
from api.limits import WINDOW_SECONDS, Allowance
from api.services import Services
from domain.customer import Scope

Answer = TypeVar("Answer")
_HEADERS = {
    "weight": f"X-MBX-USED-WEIGHT-{WINDOW_SECONDS}S",
    "orders": f"X-MBX-ORDER-COUNT-{WINDOW_SECONDS}S",
}
_LIMITS = {"weight": "REQUEST_WEIGHT", "orders": "ORDERS"}
_ANY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, after the edge has let it in."""

    services: Services
    parameters: Parameters
    http: Request | None = None
    known: Caller | None = None

    @property
    def request(self) -> Request:
        """Return the HTTP request; only of a route that is not called over a WebSocket."""
        assert self.http is not None, "the method came over a WebSocket"
        return self.http

    @property
    def caller(self) -> Caller:
        """Return who asks; only of a route that wants a key."""
        assert self.known is not None, "the route is public"
        return self.known


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Row:
    """A route of the dialect: who may use it and what it costs, as `api.edge.Access`.

    `scope` None is everyone's. `keyed`: the key is named, and nothing is signed.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope | None = None
    weight: int = 1
    orders: int = 0
    once: bool = False
    winds_down: bool = False
    keyed: bool = False

    @property
    def is_futures(self) -> bool:
        """Return whether it is one of those whose refusals are spelled as of futures."""
        return self.path.startswith("/fapi")

    def route(self) -> Route:
        """Return it as the web framework wants it."""
        return Route(self.path, self._endpoint(), methods=[self.method])

    def _endpoint(self) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            headers: dict[str, str] = {}
            try:
                call, headers = await self._admit(BoundedRequest(request.scope, request.receive))
                answer = await self.handler(call)
                response = Response(msgspec.json.encode(answer), media_type="application/json")
            except (Refusal, Problem, ConnectionError, ValidationError) as error:
                response = refusal_of(error, futures=self.is_futures).response()
            for name, value in headers.items():
                response.headers.setdefault(name, value)
            return response

        return endpoint

    async def _admit(self, request: BoundedRequest) -> tuple[Call, dict[str, str]]:
        services = services_of(request)
        signed = read(request.scope["query_string"], await request.body())
        key_id = request.headers.get("x-mbx-apikey")
        caller, allowance = await self.admit(services, host_of(request), key_id, signed)
        request.state.limits_shared = allowance.shared
        return Call(services, signed.parameters, request, caller), _used(allowance)

    async def admit(
        self,
        services: Services,
        host: str,
        key_id: str | None,
        signed: Signed,
        session: Session | None = None,
    ) -> tuple[Caller | None, Allowance]:
        """Return who asks (None of a public route) and what is left of the limits.

        With a `session`, it is who has logged on to the connection.
        A `Refusal` or `Problem` says why not; tries without a valid key are charged to the address.
        So is what only names a key: anybody can, and would use up what its owner needs for orders.
        """
        if self.scope is None or self.keyed:
            allowance = await services.limiter.charge_address(host, self.weight)
            caller = None
            if self.keyed:
                caller = await self._caller(services, key_id, signed, host, None)
            return caller, allowance
        await charge_stranger(services, host, key_id)
        try:
            caller = await self._caller(services, key_id, signed, host, session)
        except (Refusal, Problem):
            await services.limiter.charge_address(host, self.weight)
            raise
        allowance = await services.limiter.charge_customer(
            caller.customer_id, caller.rate_class, self.weight, self.orders
        )
        if self.once:
            await services.limiter.once(caller.signature, auth.REMEMBERED_SECONDS)
        return caller, allowance

    async def _caller(
        self,
        services: Services,
        key_id: str | None,
        signed: Signed,
        host: str,
        session: Session | None,
    ) -> Caller:
        assert self.scope is not None
        if self.keyed:
            caller = await known_caller(services, key_id, host)
        elif session is not None:
            caller = await session.caller(services, signed.parameters)
        else:
            caller = await signed_caller(services, key_id, signed, host)
        auth.require_scope(caller, self.scope, winds_down=self.winds_down)
        return caller


def refusal_of(
    error: Refusal | Problem | ConnectionError | ValidationError, *, futures: bool = False
) -> Refusal:
    """Return what a failed request is answered with."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ValidationError):
        place = error.errors()[0]["loc"]
        return malformed(_PARAMETERS.get(str(place[0]), str(place[0])) if place else "parameters")
    if isinstance(error, ConnectionError):
        error = Problem("store_unavailable", headers={"Retry-After": "1"})
    return translated(error, futures=futures)


# What the native schemas call a field -> what the dialect calls the parameter.
_PARAMETERS = {
    "client_order_id": "newClientOrderId",
    "trigger_price": "stopPrice",
    "quote_amount": "quoteOrderQty",
    "display_quantity": "icebergQty",
}


def nothing_here(rows: Sequence[Row]) -> Route:
    """Return the route of everything that the dialect's table does not have.

    Of a path that has other methods it names them.
    """

    async def refuse(request: Request) -> Response:
        path = f"/{request.path_params['path']}"
        known = {row.method for row in rows if row.path == path}
        if known:
            methods = known | {"HEAD"} if "GET" in known else known  # as the web framework has it
            allow = {"allow": ", ".join(sorted(methods))}
            return translated(Problem("method_not_allowed", headers=allow)).response()
        return translated(Problem("not_found")).response()

    return Route("/{path:path}", refuse, methods=_ANY_METHOD)


def _used(allowance: Allowance) -> dict[str, str]:
    used: Mapping[str, int] = allowance.used
    return {
        **{_HEADERS[bucket]: str(count) for bucket, count in used.items()},
        **allowance.headers,
    }


def used_limits(allowance: Allowance) -> list[dict[str, Any]]:
    """Return what a request has used up, as answers over a WebSocket say it."""
    return [
        {
            "rateLimitType": _LIMITS[bucket],
            "interval": "SECOND",
            "intervalNum": WINDOW_SECONDS,
            "limit": allowance.quotas[bucket],
            "count": count,
        }
        for bucket, count in allowance.used.items()
    ]
