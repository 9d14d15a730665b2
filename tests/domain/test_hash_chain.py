"""Hashes that can be computed again from what is stored."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.hash_chain import GENESIS, JsonValue, NotCanonicalError, canonical_json, link

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_canonical_text_survives_storage(value: JsonValue) -> None:
    """A value that was stored as JSON and read back gives the same bytes."""
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


def test_order_of_keys_does_not_matter() -> None:
    """Maps with the same content have the same hash."""
    assert link(GENESIS, {"a": 1, "b": 2}) == link(GENESIS, {"b": 2, "a": 1})


def test_hash_depends_on_content_and_predecessor() -> None:
    """Another content or another predecessor gives another hash."""
    first = link(GENESIS, ["a"])
    assert len({first, link(GENESIS, ["b"]), link(first, ["a"])}) == 3


@pytest.mark.parametrize("value", [1.5, {"a": [1.5]}, {1: "a"}, b"raw"])
def test_what_json_would_change_is_refused(value: JsonValue) -> None:
    """Floats, keys that are not text and bytes are refused."""
    with pytest.raises(NotCanonicalError):
        canonical_json(value)
