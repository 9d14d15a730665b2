"""Calling an endpoint with what its signature asks for, as FastAPI describes it.

FastAPI reads the signatures, and makes the OpenAPI document from them; checks and their words are
those of its fields. Only its solver of dependencies is left out: for every request it walks a
graph that has two leaves here, the caller and the services, and opens stacks of contexts that no
endpoint uses. That, its second look at the answer and the walk to the route took longer than
placing the order.
"""

from __future__ import annotations

import email.message
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi._compat import ModelField, Undefined
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

Given = Collection[Callable[[Request], Any]]
"""The functions that endpoints may depend on; each makes its value of the request alone."""

_JSON = "application/json"
_UNUSED = ("cookie_params", "websocket_param_name", "background_tasks_param_name")


@dataclass(frozen=True, slots=True)
class _Answer:
    """How a route answers: its status and its model."""

    status: int
    field: ModelField

    def response(self, answer: Any) -> Response:
        """Return the response of what an endpoint returned."""
        if isinstance(answer, Response):
            return answer
        field = self.field
        if type(answer) is not field.field_info.annotation:  # a model checks itself as it is made
            answer, errors = field.validate(answer, {}, loc=("response",))
            if errors:
                raise TypeError(f"not an answer of this route: {errors}")
        content = field.serialize_json(answer)
        return Response(content, status_code=self.status, media_type=_JSON)


class DirectCall:
    """The endpoint of a route, called with what it asks for; its dependencies are of `given`.

    Anything in a signature that is not provided for stops the gateway's start.
    """

    def __init__(self, route: APIRoute, given: Given) -> None:
        dependant, field = route.dependant, route.response_field
        name = route.endpoint.__qualname__
        if any(getattr(dependant, unused) for unused in _UNUSED) or field is None:
            raise RuntimeError(f"{name} asks for something that the edge does not give")
        if len(dependant.body_params) > 1 or route._embed_body_fields:  # noqa: SLF001
            raise RuntimeError(f"{name} has more than one body")
        self._call: Callable[..., Awaitable[Any]] = route.endpoint
        self._given = [
            (_name(one, name), _giver(one, given, name)) for one in dependant.dependencies
        ]
        self._dependant = dependant
        self._has_parameters = bool(
            dependant.path_params or dependant.query_params or dependant.header_params
        )
        self._body = dependant.body_params[0] if dependant.body_params else None
        self._answer = _Answer(route.status_code or 200, field)

    async def __call__(self, request: Request) -> Response:
        """Return the endpoint's response; `RequestValidationError` says what was not acceptable."""
        dependant, errors = self._dependant, list[Any]()
        values = {name: give(request) for name, give in self._given}
        if self._has_parameters:
            errors += self._add_parameters(request, values)
        if self._body is not None:
            errors += await self._add_body(self._body, request, values)
        if errors:
            raise RequestValidationError(errors)
        if dependant.request_param_name:
            values[dependant.request_param_name] = request
        if not dependant.response_param_name:
            return self._answer.response(await self._call(**values))
        wanted = values[dependant.response_param_name] = Response(status_code=self._answer.status)
        wanted.raw_headers.clear()
        answer = self._answer.response(await self._call(**values))
        answer.status_code = wanted.status_code
        answer.raw_headers += wanted.raw_headers
        return answer

    def _add_parameters(self, request: Request, values: dict[str, Any]) -> list[Any]:
        """Add the parameters of path, query and headers to `values`; return what is wrong."""
        errors: list[Any] = []
        dependant = self._dependant
        for fields, received in (
            (dependant.path_params, lambda: request.path_params),
            (dependant.query_params, lambda: request.query_params),
            (dependant.header_params, lambda: request.headers),
        ):
            if fields:
                found, wrong = request_params_to_args(fields, received())
                values.update(found)
                errors += wrong
        return errors

    async def _add_body(
        self, field: ModelField, request: Request, values: dict[str, Any]
    ) -> list[Any]:
        """Add the body to `values`; return what is wrong."""
        received: Any = await request.body() or Undefined
        if received is Undefined:
            found, errors = await request_body_to_args([field], received, embed_body_fields=False)
            values.update(found)
            return list(errors)
        if _is_json(request.headers.get("content-type")):
            received = await request.json()
        values[field.name], errors = field.validate(received, {}, loc=("body",))
        return errors


def _giver(dependency: Dependant, given: Given, name: str) -> Callable[[Request], Any]:
    call = dependency.call
    if call is None or call not in given or dependency.dependencies:
        raise RuntimeError(f"{name} depends on something that the edge does not give")
    return call


def _name(dependency: Dependant, name: str) -> str:
    if dependency.name is None:
        raise RuntimeError(f"{name} has a dependency without a name")
    return dependency.name


def _is_json(content_type: str | None) -> bool:
    """Return whether a body is said to be JSON; one that says nothing is taken for it."""
    if content_type is None or content_type == _JSON:
        return True
    message = email.message.Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (
        subtype == "json" or subtype.endswith("+json")
    )
