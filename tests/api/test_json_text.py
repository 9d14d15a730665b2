"""What clients send is read in one way only: every name once, and the same by either parser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Problem
from api.json_text import parse_json, repeats_a_member

_WORD = st.text(alphabet='a"\\:, \t{[é😀', max_size=4)
_DOCUMENT = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORD, inner, max_size=3),
    max_leaves=6,
)
_REPEATED = [
    '{"a":1,"a":2}',
    '{"a" :1,"a"\n:2}',
    r'{"a":1,"\u0061":1}',
    '{"a":{"b":1},"a":{}}',
    '{"a":":","a":1}',
]


@given(_DOCUMENT, st.sampled_from([None, (",", ":"), (" , ", "\t:\n")]), st.booleans())
def test_a_document_is_what_it_was(
    document: Any, separators: tuple[str, str] | None, is_ascii: bool
) -> None:
    """However it is written, and with the kinds of numbers that Python's own parser gives."""
    text = json.dumps(document, separators=separators, ensure_ascii=is_ascii)
    try:
        found = parse_json(text.encode())
    except Problem:
        assert text.count("[") + text.count("{") > 16  # nested too deep, or it looks so
        return
    assert repr(found) == repr(json.loads(text))


@pytest.mark.parametrize("text", _REPEATED)
def test_a_repeated_name_is_refused_at_any_depth(text: str) -> None:
    """With blanks before its colon, and where an escape spells it."""
    for body in (text, f"[{text}]", f'{{"x":{{"y":[0,{text}]}}}}'):
        with pytest.raises(Problem, match="repeated"):
            parse_json(body.encode())


@pytest.mark.parametrize(
    "text", ["-0", "1E3", "1e400", "1" * 40, '"\ud800"', '"\\ud800"', "\ufeff1", " 1 "]
)
def test_what_one_parser_reads_otherwise_is_pythons(text: str) -> None:
    """Numbers beyond 64 bits, lone surrogates and the mark of a byte order."""
    body = text.encode("utf-8", "surrogatepass")
    assert repr(parse_json(body)) == repr(json.loads(body))


@pytest.mark.parametrize("text", ['"\n"', '"\x00"', "01", "+1", "1.", "[1] 2", "nul", "'a'", ""])
def test_what_is_no_json_is_refused(text: str) -> None:
    """By either parser."""
    with pytest.raises(Problem, match="malformed_json"):
        parse_json(text.encode())


@pytest.mark.parametrize("text", _REPEATED)
def test_only_an_objects_own_members_are_looked_at(text: str) -> None:
    """What repeats inside of a member is the business of who reads that."""
    assert repeats_a_member(text.encode())
    for inner in (text, f"[{text}]", '":a"', r'"\":"'):
        assert not repeats_a_member(f'{{"op":"x","params":{inner},"id":1}}'.encode())
    assert repeats_a_member(f'{{"params":{text},"params":{{}}}}'.encode())


def test_brackets_without_end_are_looked_at_by_nobody() -> None:
    """They count as a repetition where a look would be needed, which needs a parser's stack."""
    assert repeats_a_member(b'{"a\\":":1,"b":' + b"[" * 30 + b"]" * 30 + b"}")
