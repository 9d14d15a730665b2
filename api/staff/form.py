"""Forms that the staff's pages send: JSON objects of texts, exactly those that are asked for."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from api.nesting import nested_too_deep
from api.staff.gate import body_of

LONGEST_TEXT = 8_000  # a statement of a market's terms has two thousand letters


class MalformedFormError(Exception):
    """The body is not the form that was asked for; the message says what is."""


async def texts_of(request: Request) -> dict[str, str]:
    """Return the printable texts of a JSON object; {} for anything else."""
    found = await _object_of(request)
    return {
        key: value for key, value in found.items() if isinstance(value, str) and value.isprintable()
    }


async def form_of(request: Request, *names: str) -> dict[str, str]:
    """Return the form with exactly the fields `names`, each a printable text of bounded length."""
    found = await _object_of(request)
    if set(found) != set(names) or not all(isinstance(text, str) for text in found.values()):
        raise MalformedFormError(f"a JSON object with exactly these texts: {', '.join(names)}")
    for name, text in found.items():
        if len(text) > LONGEST_TEXT or not text.isprintable():
            raise MalformedFormError(f"{name} has at most {LONGEST_TEXT} printable letters")
    return found


async def _object_of(request: Request) -> dict[str, Any]:
    body = await body_of(request)
    if nested_too_deep(body):
        return {}
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
