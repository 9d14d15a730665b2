"""The gateway's web application: routes behind the edge, pages, WebSocket, one error shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from api.binance.routes import binance_mount
from api.context import RequestContext
from api.edge import EdgeRoute, access_of, problem_of
from api.errors import PROBLEM_TYPE, Problem
from api.links import add_links
from api.route_table import EdgeFirst, RouteTable
from api.routes import (
    accounts,
    compliance,
    fees,
    keys,
    login,
    markets,
    order_batches,
    order_lists,
    order_queries,
    orders,
    perpetuals,
    position_history,
    sessions,
    statements,
    system,
    transfers,
    withdrawal_addresses,
    withdrawals,
)
from api.routes.pages import add_pages
from api.services import Services
from api.websocket import route as websocket_route
from api.websocket.line import Lines

ROUTERS = (
    system.router,
    markets.router,
    orders.router,
    order_batches.router,
    order_lists.router,
    order_queries.router,
    accounts.router,
    perpetuals.router,
    position_history.router,
    fees.router,
    statements.router,
    transfers.router,
    withdrawals.router,
    withdrawal_addresses.router,
    compliance.router,
    keys.router,
    sessions.router,
    login.router,
)

_DESCRIPTION = """Prices, quantities and amounts are decimal numbers **in text**; JSON numbers are
refused. Signed routes take the headers `RIALTO-KEY`, `RIALTO-TIMESTAMP` (ms) and
`RIALTO-SIGNATURE` = hex HMAC-SHA256(secret, text), of an Ed25519 key the base64 of its signature
of the text. The text (version 1) is six lines, each ended by a line feed: timestamp, METHOD,
path, raw query, `Idempotency-Key`, raw body; what a request does not have is an empty line. GET
and DELETE have no body. `RIALTO-WINDOW` (ms, default 5000, at most 60000) says how old a request
may be. A web page may show a session's access token (`Authorization: Bearer`) in the place of a
signature; where `x-step-up` is true it needs a fresh second factor. Refusals are
`application/problem+json` (RFC 9457) with a stable `code`, `retryable` and `request_id`."""


def create_app(services: Services) -> FastAPI:
    """Return the application around the gateway's services."""
    app = FastAPI(
        title="Rialto",
        version=services.version,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        strict_content_type=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # nobody reads it
    )
    app.state.services = services
    app.state.connections = Lines()
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(websocket_route.router)
    app.router.routes.append(binance_mount())
    add_pages(app)
    app.add_exception_handler(HTTPException, _framework_error)
    app.add_exception_handler(RequestValidationError, _framework_error)
    app.add_exception_handler(Problem, _problem)
    app.add_middleware(EdgeFirst, table=RouteTable(_routes()))
    app.add_middleware(RequestContext)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _routes() -> Iterator[EdgeRoute]:
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, EdgeRoute)
            yield route


async def _framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | HTTPException)
    return problem_of(error).response(request.state.request_id)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request.state.request_id)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document with scopes, weights and the shape of problems added."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        components = document.setdefault("components", {})
        components["securitySchemes"] = {
            "key": {"type": "apiKey", "in": "header", "name": "RIALTO-KEY"},
            "timestamp": {"type": "apiKey", "in": "header", "name": "RIALTO-TIMESTAMP"},
            "signature": {"type": "apiKey", "in": "header", "name": "RIALTO-SIGNATURE"},
            "session": {"type": "http", "scheme": "bearer"},
        }
        components.setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
        for route in _routes():
            for method in route.methods:
                _complete(document["paths"][route.path][method.lower()], route)
        add_links(document)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any], route: EdgeRoute) -> None:
    declared = access_of(route.endpoint)
    operation["x-scope"] = declared.scope.value if declared.scope else "public"
    operation["x-weight"] = declared.weight
    if declared.scope:
        signed: list[dict[str, list[str]]] = [{"key": [], "timestamp": [], "signature": []}]
        operation["security"] = [*([] if declared.session else signed), {"session": []}]
        operation["x-step-up"] = declared.step_up
    responses = operation["responses"]
    responses.pop("422", None)
    repeats = route.path not in _MADE_ONCE and "POST" in route.methods
    if repeats and route.status_code in (201, 202):
        made = responses[str(route.status_code)]
        responses["200"] = {**made, "description": "It was made before: as it is by now"}
    responses["default"] = {
        "description": "Refused",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


# What is asked for again is refused, or made again: a secret is told once.
_MADE_ONCE = {"/v1/keys", "/v1/sessions"}
_PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "Why a request was refused (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "retryable", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "retryable": {"type": "boolean"},
        "request_id": {"type": "string"},
        "outcome": {"type": "string", "enum": ["unknown", "nothing sent"]},
    },
}
