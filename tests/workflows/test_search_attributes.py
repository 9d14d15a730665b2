"""The server knows exactly the search attributes that workflows upsert."""

from __future__ import annotations

from infra.temporal.search_attributes import SEARCH_ATTRIBUTES, server_flags
from workflows.search_attributes import ALL

_INDEXED_TYPES = {"KEYWORD": "Keyword", "INT": "Int", "DOUBLE": "Double"}


def test_server_and_workflows_agree() -> None:
    """Names and types on the server's start line equal the typed keys."""
    assert {key.name: _INDEXED_TYPES[key.indexed_value_type.name] for key in ALL} == (
        SEARCH_ATTRIBUTES
    )


def test_flags_register_each_attribute() -> None:
    """The start line has one flag per attribute."""
    assert server_flags()[:2] == ["--search-attribute", "AccountId=Keyword"]
    assert len(server_flags()) == 2 * len(SEARCH_ATTRIBUTES)
