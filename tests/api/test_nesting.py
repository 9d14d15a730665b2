"""Brackets without end reach no parser, however high a library has set the recursion limit."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from api.binance.errors import Refusal
from api.binance.parameters import Parameters
from api.errors import Problem
from api.json_text import parse_json
from api.nesting import LARGEST_NESTING, nested_too_deep

_ENDLESS = 100_000


@pytest.fixture
def no_limit() -> Iterator[None]:
    """As a library leaves the interpreter: its parser of JSON would overrun the stack of C."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10 * _ENDLESS)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_depth_is_counted(opening: bytes) -> None:
    """As deep as is allowed is allowed; one level more is not."""
    levels = opening.count(b"[") + opening.count(b"{")
    assert not nested_too_deep(opening * (LARGEST_NESTING // levels))
    assert nested_too_deep(opening * (LARGEST_NESTING // levels + 1))


def test_siblings_are_not_depth() -> None:
    """A long list of small objects is flat."""
    assert not nested_too_deep(b"[" + b'{"a":[1]},' * 1_000 + b"1]")


@pytest.mark.usefixtures("no_limit")
def test_bodies_and_parameters_are_refused_before_they_are_parsed() -> None:
    """Where the parser's own bound is gone, ours holds."""
    with pytest.raises(Problem):
        parse_json(b"[" * _ENDLESS)
    with pytest.raises(Refusal):
        Parameters({"symbols": "[" * _ENDLESS}).names("symbols")
