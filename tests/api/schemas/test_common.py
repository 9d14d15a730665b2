"""Cursors: opaque, and good for one endpoint only."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Problem
from api.schemas.common import (
    decode_cursor,
    decode_row_cursor,
    encode_cursor,
    encode_row_cursor,
)

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
    for wrong in (encode_row_cursor("deposits", (1, "a")), encode_cursor("withdrawals", (1, 2))):
        with pytest.raises(Problem):
            decode_row_cursor("withdrawals", wrong)


@given(_int64, st.text(max_size=60))
def test_a_cursor_of_rows_holds_time_and_id(time_us: int, row_id: str) -> None:
    """It comes back, unless the id is none that a database would take."""
    cursor = encode_row_cursor("deposits", (time_us, row_id.encode(errors="replace").decode()))
    with suppress(Problem):
        assert decode_row_cursor("deposits", cursor) == (time_us, row_id)
    if row_id.isascii() and row_id.isprintable():
        assert decode_row_cursor("deposits", cursor) == (time_us, row_id)


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_a_problem(text: str) -> None:
    """No text makes the decoder fail in another way."""
    with suppress(Problem):
        assert len(decode_cursor("fills", text, 3) or ()) == 3
    with suppress(Problem):
        assert len(decode_row_cursor("fills", text) or ()) == 2
