"""The terms of a perpetual as staff write them in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from domain.instrument import Asset
from domain.perpetual_terms import MAX_BRACKETS, TERM_NAMES, PerpetualTerms

_UNITS = "_units"
_BRACKET = ("floor", "maintenance_ppm", "initial_ppm")
_NEEDED = {field.name for field in fields(PerpetualTerms) if field.default is MISSING}


def names() -> list[str]:
    """Return every name that a file may have; `brackets` is a list of objects."""
    return [name.removesuffix(_UNITS) for name in TERM_NAMES] + ["brackets"]


def terms_from(
    document: Mapping[str, Any], quote: Asset, now: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the record (`domain.perpetual_terms`) of a file's terms; `ValueError` in words.

    Money is decimal text without `_units` in its name; the rest whole numbers. What has a default
    may be left out, and with the record as it is `now` everything that stays.
    """
    unknown = sorted(set(document) - set(names()))
    if unknown:
        raise ValueError(f"a perpetual has no {', '.join(unknown)}; it has {', '.join(names())}")
    missing = sorted(name.removesuffix(_UNITS) for name in _NEEDED)
    missing = [name for name in missing if name not in document]
    if missing and now is None:
        raise ValueError(f"a perpetual needs {', '.join(missing)}")
    record: dict[str, Any] = dict(now or {})
    if "brackets" in document:
        record["brackets"] = _brackets(document["brackets"], quote)
    for name in TERM_NAMES:
        plain = name.removesuffix(_UNITS)
        if plain not in document:
            continue
        value = document[plain]
        record[name] = _money(value, plain, quote) if name != plain else _whole(value, plain)
    return record


def _brackets(rows: Any, quote: Asset) -> list[list[int]]:
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_BRACKETS:
        raise ValueError(f"brackets: a list of 1 to {MAX_BRACKETS}")
    found = []
    for row in rows:
        if not isinstance(row, dict) or set(row) != set(_BRACKET):
            raise ValueError(f"a bracket has exactly {', '.join(_BRACKET)}")
        rates = [_whole(row[name], name) for name in _BRACKET[1:]]
        found.append([_money(row["floor"], "floor", quote), *rates])
    return found


def _money(value: Any, name: str, quote: Asset) -> int:
    if isinstance(value, str):
        return quote.engine_units(value)
    raise ValueError(f'{name}: an amount of {quote.code} in text, like "1000000"')


def _whole(value: Any, name: str) -> int:
    if type(value) is not int:
        raise ValueError(f"{name}: a whole number")
    return value
