"""Finding the route of a request at once, before the web framework walks its list of routers.

The framework's router asks every route in turn, by a regular expression, and a route of the last
router costs as much as the order that it takes. Here a path without parameters is one look into a
table, and one with parameters is compared with those of its method and length only.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge import EdgeRoute
from api.errors import Problem

Found = tuple[EdgeRoute, dict[str, str]]


class RouteTable:
    """The routes behind the edge, by method and path."""

    def __init__(self, routes: Iterable[EdgeRoute]) -> None:
        self._routes = tuple(routes)
        self._plain: dict[tuple[str, str], EdgeRoute] = {}
        self._patterns: dict[tuple[str, int], list[EdgeRoute]] = {}
        for route in self._routes:
            for method in route.methods:
                if route.param_convertors:
                    self._patterns.setdefault((method, route.path.count("/")), []).append(route)
                else:
                    self._plain.setdefault((method, route.path), route)

    def find(self, method: str, path: str) -> Found | None:
        """Return the route and the path's parameters, or None: then the framework is asked."""
        plain = self._plain.get((method, path))
        if plain is not None:
            return plain, {}
        for route in self._patterns.get((method, path.count("/")), ()):
            matched = route.path_regex.fullmatch(path)
            if matched is not None:
                return route, matched.groupdict()
        return None

    def methods(self, path: str) -> list[str]:
        """Return the methods that a path has, of all routes that it may mean; in order."""
        found = (route for route in self._routes if route.path_regex.fullmatch(path))
        return sorted({method for route in found for method in route.methods})


class EdgeFirst:
    """ASGI middleware: a request of one of our routes goes to its edge, all else further in."""

    def __init__(self, app: ASGIApp, table: RouteTable) -> None:
        self._app = app
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or connection."""
        found, methods = None, []
        if scope["type"] == "http":
            found = self._table.find(scope["method"], scope["path"])
            methods = self._table.methods(scope["path"]) if found is None else []
        request = Request(scope, receive, send) if found or methods else None
        if request is None:
            await self._app(scope, receive, send)
            return
        if found is not None:
            route, scope["path_params"] = found
            response = await route.edge(request)
        else:  # the framework would name the methods of one of the path's routes
            problem = Problem("method_not_allowed", headers={"allow": ", ".join(methods)})
            response = problem.response(request.state.request_id)
        await response(scope, receive, send)
