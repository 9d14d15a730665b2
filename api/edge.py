"""The edge of every route: body limit, signature, scope, rate limit, JSON; and the errors' shape.

A route declares who may use it with `@access(...)`; a route without a declaration stops the
gateway's start, so forgetting one denies everything instead of allowing it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api import auth
from api.auth import Caller, SignedParts
from api.direct import DirectCall
from api.errors import Problem
from api.json_text import parse_json
from api.services import Services
from domain.customer import Scope

LARGEST_BODY_BYTES = 64 * 1024
_BODILESS = frozenset({"GET", "HEAD", "DELETE"})

Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[Any]])


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a route (None: everyone) and what it costs.

    `order_list` names the body's list whose length is charged to the orders bucket. `once`: the
    signed request has its effect once, however often it is sent; for effects without an own key.
    `winds_down`: a customer who may only withdraw may use it, too. `session`: for web sessions
    alone; `step_up`: a session needs a second factor that was shown in the last five minutes.
    """

    scope: Scope | None
    weight: int = 1
    orders: int = 0
    order_list: str = ""
    once: bool = False
    winds_down: bool = False
    session: bool = False
    step_up: bool = False


_ACCESS: dict[Callable[..., Any], Access] = {}


def access(
    scope: Scope | None,
    *,
    weight: int = 1,
    orders: int = 0,
    order_list: str = "",
    once: bool = False,
    winds_down: bool = False,
    session: bool = False,
    step_up: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Declare who may use the endpoint and its cost."""

    def declare(endpoint: Endpoint) -> Endpoint:
        _ACCESS[endpoint] = Access(
            scope, weight, orders, order_list, once, winds_down, session, step_up
        )
        return endpoint

    return declare


def access_of(endpoint: Callable[..., Any]) -> Access:
    """Return the endpoint's declaration; none at all is a defect."""
    if endpoint not in _ACCESS:
        raise RuntimeError(f"{endpoint.__qualname__} does not declare its access")
    return _ACCESS[endpoint]


class BoundedRequest(Request):
    """A request whose body is limited, and parsed as JSON by our stricter rules."""

    _bounded: bytes | None = None
    _document: Any = None

    async def body(self) -> bytes:
        """Return the raw body; `Problem` when it is larger than the limit."""
        if self._bounded is None:
            chunks: list[bytes] = []
            size = 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > LARGEST_BODY_BYTES:
                    raise Problem(
                        "body_too_large",
                        f"The limit is {LARGEST_BODY_BYTES} bytes.",
                        headers={"Connection": "close"},
                    )
                chunks.append(chunk)
            self._bounded = b"".join(chunks)
        return self._bounded

    async def json(self) -> Any:
        """Return the parsed body."""
        return self._document

    async def parse(self) -> Any:
        """Parse the body, if there is one, and remember the result."""
        body = await self.body()
        if body:
            self._document = parse_json(body)
        return self._document


class EdgeRoute(APIRoute):
    """A route behind the edge; `methods` are never None, as of a route that any method finds."""

    methods: set[str]
    edge: Callable[[Request], Coroutine[Any, Any, Response]]
    """What answers a request of this route."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint's call with the edge around it."""
        declared = access_of(self.endpoint)
        names = frozenset(field.alias for field in self.dependant.query_params)
        handle = DirectCall(self, _GIVEN)

        async def edge(request: Request) -> Response:
            bounded = BoundedRequest(request.scope, request.receive)
            headers: dict[str, str] = {}
            try:
                headers = await _admit(bounded, declared)
                _require_known_query(bounded, names)
                response = await handle(bounded)
            except Problem as problem:
                response = problem.response(request.state.request_id)
            except (RequestValidationError, HTTPException) as error:
                response = problem_of(error).response(request.state.request_id)
            for name, value in headers.items():
                response.headers.setdefault(name, value)
            return response

        self.edge = edge
        return edge


async def _admit(request: BoundedRequest, declared: Access) -> dict[str, str]:
    """Check signature, scope and limits; return the rate limit headers."""
    services = services_of(request)
    host = host_of(request)
    if declared.scope is None:
        allowance = await services.limiter.charge_address(host, declared.weight)
        await _refuse_unread_body(request)
        await request.parse()
        return allowance.headers
    await request.body()
    key_id = request.headers.get("rialto-key")
    is_stranger = await charge_stranger(services, host, key_id, declared.weight)
    try:
        caller = await _identified(request, services, host)
        auth.require_scope(caller, declared.scope, winds_down=declared.winds_down)
        if declared.session:
            auth.require_session(caller)
        if declared.step_up:
            auth.require_step_up(caller, services.now_ms())
    except Problem:
        if not is_stranger:
            await services.limiter.charge_address(host, declared.weight)
        raise
    await _refuse_unread_body(request)
    document = await request.parse()
    allowance = await services.limiter.charge_customer(
        caller.customer_id,
        caller.rate_class,
        declared.weight,
        declared.orders + _listed(document, declared.order_list),
    )
    if declared.once:
        await services.limiter.once(caller.signature, auth.REMEMBERED_SECONDS)
    request.state.caller = caller
    request.state.limits_shared = allowance.shared
    return allowance.headers


async def _identified(request: BoundedRequest, services: Services, host: str) -> Caller:
    """Return who signed the request, or whose session it is of; a `Problem` says why nobody."""
    token = auth.access_token_from(request.headers)
    if token is not None:
        return await auth.session_caller(
            token, services.web.tokens, services.keys, services.now_ms()
        )
    parts = SignedParts(
        method=request.method,
        path=request.scope["raw_path"],
        query=request.scope["query_string"],
        idempotency_key=auth.idempotency_key_from(request.headers),
        body=await request.body(),
    )
    return await auth.authenticate(request.headers, parts, services.keys, services.now_ms(), host)


def host_of(request: Request) -> str:
    """Return the address that a request comes from, as trusted proxies tell it."""
    return request.client.host if request.client else "unknown"


async def charge_stranger(
    services: Services, host: str, key_id: str | None, weight: int = 1
) -> bool:
    """Charge an address for naming a key that is not remembered here: to look it up costs a query.

    It is charged before, or who has used up the limit could go on asking the database. Return
    whether it was.
    """
    if key_id is None or services.keys.remembers(key_id):
        return False
    await services.limiter.charge_address(host, weight)
    return True


async def _refuse_unread_body(request: BoundedRequest) -> None:
    if request.method in _BODILESS and await request.body():
        raise Problem("unexpected_body", f"{request.method} takes its input from the address.")


def _require_known_query(request: BoundedRequest, names: frozenset[str]) -> None:
    """Refuse a parameter that the route has not, or has once: a typing error must not widen it.

    `DELETE /v1/orders?simbol=ETH-USDT` would cancel the orders of every market.
    """
    if not request.scope["query_string"]:
        return
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            text = f"There is no parameter {name[:40]!r}; there are: {known}."
            raise Problem("unknown_parameter", text)
        if given.count(name) > 1:
            raise Problem("unknown_parameter", f"The parameter {name} is given more than once.")


def _listed(document: Any, name: str) -> int:
    if not name or not isinstance(document, dict):
        return 0
    operations = document.get(name)
    return len(operations) if isinstance(operations, list) else 0


def problem_of(error: RequestValidationError | HTTPException) -> Problem:
    """Return our problem for an error of the web framework."""
    if isinstance(error, RequestValidationError):
        fields = [
            {
                "field": ".".join(str(part) for part in item["loc"]),
                "message": str(item["msg"])[:200],
            }
            for item in error.errors()[:20]
        ]
        first = fields[0] if fields else {"field": "body", "message": "not acceptable"}
        return Problem(
            "invalid_field", f"{first['field']}: {first['message']}", extra={"errors": fields}
        )
    if error.status_code == 405:
        return Problem("method_not_allowed", headers=error.headers)
    if error.status_code == 404:
        return Problem("not_found")
    return Problem("malformed_json", str(error.detail)[:200])


def services_of(request: Request) -> Services:
    """Return the gateway's services."""
    services: Services = request.app.state.services
    return services


def caller_in(request: Request) -> Caller:
    """Return who signed a request that was let in."""
    caller: Caller = request.state.caller
    return caller


CallerDep = Annotated[Caller, Depends(caller_in)]
ServicesDep = Annotated[Services, Depends(services_of)]
_GIVEN = (caller_in, services_of)
