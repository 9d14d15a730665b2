"""JSON that clients send: what is not plain, or could be read in two ways, is refused.

A name that an object has twice is the dangerous case: the one who checks reads the first, the one
who acts the last. Fast parsers keep the last and say nothing, so what they have kept is counted
against the names in the text; only where that differs a slower parser looks at each object.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

from api.errors import Problem
from api.nesting import LARGEST_NESTING, nested_too_deep

_BLANKS = b" \t\r\n"
_parse = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def parse_json(body: bytes) -> Any:
    """Parse JSON; repeated names, NaN, deep nesting and broken text are refused."""
    if nested_too_deep(body):
        raise Problem("malformed_json", f"Nested deeper than {LARGEST_NESTING} levels.")
    try:
        document = _parse(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _parsed_slowly(body)
    return document if _name_count(body) == _kept_count(document) else _parsed_slowly(body)


def repeats_a_member(text: bytes) -> bool:
    """Return whether an object that can be parsed names one of its own members twice.

    Where that is not seen at once, one that nests deeper than anything that is read counts as such.
    """
    members = _members(text)
    inner = sum(_name_count(bytes(value)) for value in members.values())
    if _name_count(text) - inner == len(members):
        return False
    if nested_too_deep(text):
        return True
    names: list[str] = _MEMBER_NAMES.decode(text.decode())
    return len(set(names)) != len(names)


def _name_count(text: bytes) -> int:
    """Return how many names the objects in JSON have; where texts look like names, more."""
    return text.translate(None, _BLANKS).count(b'":')


def _kept_count(document: Any) -> int:
    """Return how many names the objects of a document have."""
    count = 0
    if type(document) is dict:
        count, document = len(document), document.values()
    elif type(document) is not list:
        return 0
    for value in document:
        if type(value) is dict or type(value) is list:
            count += _kept_count(value)
    return count


def _parsed_slowly(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except ValueError as error:
        raise Problem("malformed_json", "The body is not valid JSON.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Problem("malformed_json", "A name is repeated in an object.")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise Problem("malformed_json", f"{name} is not JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
"""What `json.loads` would make anew for every body."""
_MEMBER_NAMES = json.JSONDecoder(object_pairs_hook=lambda pairs: [name for name, _ in pairs])
