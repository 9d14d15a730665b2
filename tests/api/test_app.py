"""The OpenAPI document: what it must say, and that it changes only on purpose."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute

from api.app import ROUTERS
from api.errors import PROBLEM_TYPE
from domain.customer import Scope
from tests.api.exchange import Exchange

GOLDEN = Path(__file__).parents[1] / "golden" / "openapi.json"


async def _document(exchange: Exchange) -> dict[str, Any]:
    document: dict[str, Any] = (await exchange.http.get("/openapi.json")).json()
    document["info"]["version"] = "test"
    return document


async def test_the_document_is_the_golden_one(exchange: Exchange) -> None:
    """A client's code is made from it: RIALTO_UPDATE_GOLDEN=1 writes a change that is meant."""
    document = await _document(exchange)
    if os.environ.get("RIALTO_UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(document, indent=1) + "\n")
    assert json.loads(GOLDEN.read_text()) == document


async def test_every_route_is_documented(exchange: Exchange) -> None:
    """With a description, its scope, its weight, and the shape of its refusals."""
    document = await _document(exchange)
    listed = {
        (method, path) for path, operations in document["paths"].items() for method in operations
    }
    served = {
        (method.lower(), route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert listed == served
    for method, path in listed:
        operation = document["paths"][path][method]
        assert operation["description"]
        assert operation["x-scope"] in ("public", *Scope)
        assert operation["x-weight"] >= 1
        assert PROBLEM_TYPE in operation["responses"]["default"]["content"]


async def test_no_number_is_a_json_number_where_money_is_meant(exchange: Exchange) -> None:
    """Prices, quantities, amounts and fees are text in every schema."""
    schemas = (await _document(exchange))["components"]["schemas"]
    money = {"price", "quantity", "amount", "fee", "total", "available", "in_orders", "main"}
    for name, schema in schemas.items():
        for member, shape in schema.get("properties", {}).items():
            if member in money:
                types = {part.get("type") for part in shape.get("anyOf", [shape])}
                assert types <= {"string", "null"}, (name, member)


async def test_links_lead_to_what_was_made(exchange: Exchange) -> None:
    """An order, a list, a transfer, a withdrawal, an address: each has its later requests."""
    document = await _document(exchange)
    known = {
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    }
    linked = {
        path: set(answer["links"])
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for answer in operation["responses"].values()
        if "links" in answer
    }
    assert {path: len(links) for path, links in linked.items()} == {
        "/v1/orders": 3,
        "/v1/order-lists": 2,
        "/v1/transfers": 1,
        "/v1/withdrawals": 2,
        "/v1/withdrawal-addresses": 1,
        "/v1/keys": 1,
    }
    assert set().union(*linked.values()) <= known


async def test_pages_come_from_our_own_host(exchange: Exchange) -> None:
    """No page names another host, and the browser is told to load nothing from one."""
    for target in ("/", "/docs"):
        answer = await exchange.http.get(target)
        assert answer.status_code == 200
        assert "//" not in answer.text.replace("<!doctype", "")
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
