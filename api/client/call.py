"""A call: everything that one request of the API is, before anybody signs or sends it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel

from api.schemas.common import Input

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request, and the type of its answer.

    All that makes repeating it harmless is in it (client order ids, `Idempotency-Key`, move ids),
    so the same call may be sent as often as it takes. `waits_for` are codes of refusals that pass
    soon, for which it is repeated, too.
    """

    method: str
    path: str
    answer: type[Answer]
    query: str = ""
    body: bytes = b""
    idempotency_key: str = ""
    is_public: bool = False
    waits_for: frozenset[str] = frozenset()

    @property
    def target(self) -> str:
        """Return path and query, as they are signed and sent."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def changes(self) -> bool:
        """Return whether it may change anything."""
        return self.method != "GET"

    def openly(self) -> Call[Answer]:
        """Return the call as one that nobody signs."""
        return replace(self, is_public=True)

    def waiting_for(self, *codes: str) -> Call[Answer]:
        """Return the call that also waits while it is refused with these codes."""
        return replace(self, waits_for=self.waits_for | set(codes))

    def following(self, page: Answer) -> Call[Answer] | None:
        """Return the call for the page after this one; None: it was the last."""
        cursor = getattr(page, "next", None)
        if cursor is None:
            return None
        kept = [part for part in self.query.split("&") if part and not part.startswith("cursor=")]
        return replace(self, query="&".join([*kept, urlencode({"cursor": cursor})]))


def get(
    answer: type[Answer], path: str, *, is_public: bool = False, **query: str | int | None
) -> Call[Answer]:
    """Return a call that asks; parameters without a value are left out."""
    return Call("GET", path, answer, query=_query(query), is_public=is_public)


def delete(answer: type[Answer], path: str, **query: str | int | None) -> Call[Answer]:
    """Return a call that takes something back."""
    return Call("DELETE", path, answer, query=_query(query))


def send(method: str, answer: type[Answer], path: str, body: Input, key: str = "") -> Call[Answer]:
    """Return a call with a body; members that were not set are left out."""
    text = body.model_dump_json(exclude_unset=True, exclude_none=True)
    return Call(method, path, answer, body=text.encode(), idempotency_key=key)


def part(text: str) -> str:
    """Return an identifier as a part of a path."""
    return quote(text, safe="")


def market_part(symbol: str) -> str:
    """Return a market's name as a part of a path."""
    return part(symbol.replace("/", "-"))


def fresh_id() -> str:
    """Return an identifier that nobody has used: it fits client order ids and other keys."""
    return f"c-{uuid.uuid4().hex}"


def _query(named: Mapping[str, Any]) -> str:
    return urlencode({name: value for name, value in named.items() if value not in (None, "")})
