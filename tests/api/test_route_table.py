"""A request finds its route at once; what is not ours stays the web framework's."""

from __future__ import annotations

import pytest

from api.app import ROUTERS
from api.edge import EdgeRoute
from api.route_table import RouteTable
from tests.api.exchange import Exchange

ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, EdgeRoute)]
TABLE = RouteTable(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.name}")
def test_each_route_is_found(route: EdgeRoute) -> None:
    """By its method and a path of its kind, with the path's parameters."""
    names = list(route.param_convertors)
    path = route.path_format.format(**{name: f"some-{name}" for name in names})
    for method in route.methods:
        assert TABLE.find(method, path) == (route, {name: f"some-{name}" for name in names})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/orders/"),
        ("POST", "/v1//orders"),
        ("HEAD", "/v1/orders"),
        ("PUT", "/v1/orders"),
        ("post", "/v1/orders"),
        ("GET", "/v1/orders/1/2"),
        ("GET", "/v1/markets//book"),
        ("GET", "/v1/orders/1\n/x"),
        ("GET", "/"),
        ("GET", ""),
    ],
)
def test_what_is_not_ours_is_not_found(method: str, path: str) -> None:
    """The web framework answers it."""
    assert TABLE.find(method, path) is None


def test_a_plain_path_goes_before_one_with_parameters() -> None:
    """`POST /v1/orders/dry-run` is no order id."""
    found = TABLE.find("POST", "/v1/orders/dry-run")
    assert found is not None
    assert found[0].path == "/v1/orders/dry-run"


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
PAGES = {"/": ["GET", "HEAD"], "/docs": ["GET", "HEAD"]}


def paths() -> dict[str, list[str]]:
    """Return a path of every route's kind, and the methods of the routes that it may mean."""
    known = dict(PAGES)
    for route in ROUTES:
        path = route.path_format.format(**dict.fromkeys(route.param_convertors, "some"))
        meant = [one for one in ROUTES if one.path_regex.fullmatch(path)]
        known[path] = sorted({method for one in meant for method in one.methods})
    return known


async def test_another_method_is_a_problem_that_names_the_right_ones(exchange: Exchange) -> None:
    """Of every path: 405 names exactly the methods that are something else than a 405."""
    for path, methods in paths().items():
        for method in METHODS:
            answer = await exchange.http.request(method, path)
            if method in methods:
                assert answer.status_code != 405, f"{method} {path}"
                continue
            assert answer.status_code == 405, f"{method} {path}"
            assert sorted(answer.headers["allow"].split(", ")) == methods, f"{method} {path}"
            assert answer.headers["x-content-type-options"] == "nosniff"
            if method != "HEAD":
                assert answer.json()["code"] == "method_not_allowed"


async def test_a_word_that_is_an_id_too_has_the_methods_of_both(exchange: Exchange) -> None:
    """`/v1/orders/batch` takes a batch; as an order's id it is looked for, not found."""
    answer = await exchange.http.put("/v1/orders/batch")
    assert set(answer.headers["allow"].split(", ")) >= {"DELETE", "GET", "POST"}


@pytest.mark.parametrize("path", ["/v1/ordersx", "/v1/orders/1/2", "/v2/orders"])
async def test_another_path_is_a_problem(exchange: Exchange, path: str) -> None:
    """404, in the shape of every refusal."""
    answer = await exchange.http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
