"""A request's parameters: raw bytes of query and form, what was signed of them, typed reading."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from api.binance.errors import Refusal, malformed, missing
from api.nesting import nested_too_deep
from domain.money import INT64_MAX

LARGEST_PARAMETER_COUNT = 200
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_SIGNATURE = b"signature="


@dataclass(frozen=True, slots=True)
class Parameters:
    """The named parameters of a request; names that nobody asks for are ignored."""

    values: Mapping[str, str]

    def text(self, name: str) -> str | None:
        """Return a parameter, None where it was not sent or is empty."""
        return self.values.get(name) or None

    def need(self, name: str) -> str:
        """Return a parameter that has to be there."""
        found = self.text(name)
        if found is None:
            raise missing(name)
        return found

    def integer(self, name: str) -> int | None:
        """Return a whole number in the range of 64 bits, None where it was not sent."""
        found = self.text(name)
        if found is None:
            return None
        if _INTEGER.fullmatch(found) is None or abs(int(found)) > INT64_MAX:
            raise malformed(name)
        return int(found)

    def need_integer(self, name: str) -> int:
        """Return a whole number that has to be there."""
        found = self.integer(name)
        if found is None:
            raise missing(name)
        return found

    def count(self, name: str, default: int, most: int) -> int:
        """Return how many are wanted: at least 1, and not more than `most`."""
        found = self.integer(name)
        if found is None:
            return min(default, most)
        if found < 1:
            raise malformed(name)
        return min(found, most)

    def flag(self, name: str) -> bool:
        """Return whether a parameter says true."""
        return (self.text(name) or "").lower() == "true"

    def names(self, name: str) -> list[str] | None:
        """Return a JSON list of texts, None where it was not sent."""
        found = self.text(name)
        if found is None:
            return None
        listed = json_list(name, found)
        if not all(isinstance(one, str) for one in listed):
            raise malformed(name)
        return listed


def json_list(name: str, text: str, number: Callable[[str], Any] | None = None) -> list[Any]:
    """Return the JSON list that a parameter holds; `number` makes a number of its text."""
    if nested_too_deep(text.encode()):
        raise malformed(name)
    try:
        listed = json_of(text, number)
    except ValueError as error:
        raise malformed(name) from error
    if not isinstance(listed, list):
        raise malformed(name)
    return listed


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request says, what its signature covers (the raw bytes), and the signature.

    `others` are further ways to write the same that a client may have signed.
    """

    parameters: Parameters
    message: bytes
    signature: str | None
    others: tuple[bytes, ...] = ()


def read(query: bytes, form: bytes = b"") -> Signed:
    """Return the parameters of query and form; one that is given twice is refused.

    The signature covers the bytes as they came, query and then form, without itself: encoding
    them anew would differ from what a client has signed.
    """
    values: dict[str, str] = {}
    signature: str | None = None
    covered = []
    for part in (query, form):
        kept = []
        for pair in part.split(b"&") if part else ():
            if pair.startswith(_SIGNATURE):
                if signature is not None:
                    raise _repeated("signature")
                signature = _decoded(pair[len(_SIGNATURE) :], "signature")
                continue
            kept.append(pair)
            name, _, value = pair.partition(b"=")
            _add(values, _decoded(name, "name"), value)
        covered.append(b"&".join(kept))
    return Signed(Parameters(values), b"".join(covered), signature)


def _add(values: dict[str, str], name: str, value: bytes) -> None:
    if name in values:
        raise _repeated(name)
    if len(values) >= LARGEST_PARAMETER_COUNT:
        raise Refusal(-1101, f"Too many parameters; at most {LARGEST_PARAMETER_COUNT}.")
    if name:
        values[name] = _decoded(value, name)


def _decoded(raw: bytes, name: str) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise malformed(name[:32]) from error


def json_of(text: str | bytes, number: Callable[[str], Any] | None = None) -> Any:
    """Return what JSON says, `number` making numbers of their text; `ValueError` if it is none.

    An object that has a name twice is refused, as parameters are.
    """
    return json.loads(
        text,
        parse_float=number,
        parse_int=number,
        parse_constant=number,
        object_pairs_hook=_unique,
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        name = next(name for name in names if names.count(name) > 1)
        raise _repeated(name if name.isprintable() else "params")  # what cannot be written is not
    return document


def _repeated(name: str) -> Refusal:
    return Refusal(-1101, f"Duplicate values for parameter '{name[:32]}'.")
