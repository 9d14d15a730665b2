"""Cursors: opaque, and good for one endpoint only."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Problem
from api.schemas.common import decode_cursor, encode_cursor

_int64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)


@given(st.lists(_int64, min_size=1, max_size=3).map(tuple))
def test_a_cursor_comes_back_as_it_was(position: tuple[int, ...]) -> None:
    """Encoding loses nothing."""
    cursor = encode_cursor("fills", position)
    assert decode_cursor("fills", cursor, len(position)) == position


def test_a_cursor_of_another_endpoint_is_refused() -> None:
    """Positions of different endpoints mean different things."""
    with pytest.raises(Problem):
        decode_cursor("orders", encode_cursor("fills", (1, 2)), 2)


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_a_problem(text: str) -> None:
    """No text makes the decoder fail in another way."""
    with suppress(Problem):
        assert len(decode_cursor("fills", text, 3) or ()) == 3
