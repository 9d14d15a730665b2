"""Runs risk vectors: cases in decimal text, each an op with inputs and what must come out.

A folder has `ops.json` with the names of all ops, and files with a list `cases`. A case whose
`applies_to_spec` is false documents another venue's rule and is skipped. Of the others each key
of `expected` is compared, numbers exactly unless the case has a `tolerance`; keys that an op gives
beyond that are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from workers.conformance import vector_account, vector_margin, vector_market
from workers.conformance.vector_text import VectorError, is_number, number

OPS_FILE = "ops.json"
ADAPTERS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    **vector_margin.ADAPTERS,
    **vector_market.ADAPTERS,
    **vector_account.ADAPTERS,
}
_OTHERS_RULE = "applies_to_spec is false: it documents another venue's rule"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_DEEPEST = 32
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Case:
    """One vector of a file."""

    file: str
    case_id: str
    op: str
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]
    applies: bool = True
    tolerance: Fraction = Fraction(0)


@dataclass(slots=True)
class Report:
    """What came of a folder's cases: how many, and for each that did not pass the reason."""

    passed: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    skips: list[dict[str, str]] = field(default_factory=list)


def run_folder(folder: Path) -> Report:
    """Run every case of a folder; `VectorError` says which file or case cannot be read."""
    report = Report()
    for case in read_folder(folder):
        place = {"id": case.case_id, "file": case.file, "op": case.op}
        if not case.applies:
            report.skips.append({**place, "reason": _OTHERS_RULE})
            continue
        found = run_case(case)
        if found:
            report.failures.append({**place, "differences": found})
        else:
            report.passed += 1
    return report


def read_folder(folder: Path) -> list[Case]:
    """Return the cases of a folder, file by file; every op must be a known one."""
    if not folder.is_dir():
        raise VectorError(f"there is no folder {folder}")
    files = sorted(path for path in folder.glob("*.json") if path.name != OPS_FILE)
    if not files:
        raise VectorError(f"there are no vectors (*.json) in {folder}")
    known = set(ADAPTERS)
    if (folder / OPS_FILE).exists():
        ops = _read(folder / OPS_FILE).get("ops")
        if not isinstance(ops, dict):
            raise VectorError(f"{OPS_FILE} has no ops")
        known |= set(ops)
    cases: dict[str, Case] = {}
    for path in files:
        rows = _read(path).get("cases")
        if not isinstance(rows, list):
            raise VectorError(f"{path.name} has no list of cases")
        for place, row in enumerate(rows, 1):
            case = case_of(path.name, place, row)
            if case.op not in known:
                raise VectorError(f"{path.name} {case.case_id}: unknown op {case.op!r}")
            if case.case_id in cases:
                raise VectorError(f"{path.name} {case.case_id}: this id is used twice")
            cases[case.case_id] = case
    return list(cases.values())


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object; a number with a point would be a binary fraction and is refused."""

    def refuse(text: str) -> None:
        raise VectorError(f"{path.name}: {text} is not in quotes: numbers are decimal text")

    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise VectorError(f"{path.name} cannot be read: {error}") from error
    if _depth(text) > _DEEPEST:
        raise VectorError(f"{path.name} cannot be read: it is nested too deeply")
    try:
        found = json.loads(text, parse_float=refuse, parse_constant=refuse)
    except VectorError:
        raise
    except ValueError as error:
        raise VectorError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise VectorError(f"{path.name} is not a JSON object")
    return found


def _depth(text: str) -> int:
    """Return how deep a JSON text nests; a parser that recurses must not meet a million levels."""
    depth = deepest = 0
    for bracket in re.findall(r"[][{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def case_of(file: str, place: int, row: object) -> Case:
    """Return a case as it is written in a file, checked for its form."""
    if not isinstance(row, dict):
        raise VectorError(f"{file}: case {place} is not an object")
    case_id, op = row.get("id"), row.get("op")
    if not isinstance(case_id, str) or not isinstance(op, str):
        raise VectorError(f"{file}: case {place} has no id or no op")
    inputs, expected = row.get("inputs"), row.get("expected")
    applies = row.get("applies_to_spec", True)
    if not isinstance(inputs, dict) or not isinstance(expected, dict) or not expected:
        raise VectorError(
            f"{file} {case_id}: inputs or expected is no object, or expected is empty"
        )
    if not isinstance(applies, bool):
        raise VectorError(f"{file} {case_id}: applies_to_spec is neither true nor false")
    try:
        tolerance = number(row.get("tolerance", "0"))
    except VectorError as error:
        raise VectorError(f"{file} {case_id}: tolerance: {error}") from error
    return Case(file, case_id, op, inputs, expected, applies, tolerance)


def run_case(case: Case) -> list[str]:
    """Return how a case's outcome differs from what it expects; [] when it does not."""
    adapter = ADAPTERS.get(case.op)
    if adapter is None:
        return [f"Rialto has no function for the op {case.op}"]
    try:
        outcome = adapter(case.inputs)
    except _UNREADABLE as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise VectorError(f"{case.file} {case.case_id}: inputs: {reason}") from error
    return _differences(case.expected, outcome, case.tolerance, "")


def _differences(expected: object, found: object, tolerance: Fraction, path: str) -> list[str]:
    name = path or "the outcome"
    if isinstance(expected, dict) and isinstance(found, dict):
        different: list[str] = []
        for key, value in expected.items():
            below = f"{path}.{key}" if path else key
            if key not in found:
                different.append(f"{below} is missing, expected {value!r}; found {_text(found)}")
            else:
                different += _differences(value, found[key], tolerance, below)
        return different
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return [f"{name} has {len(found)} entries, expected {len(expected)}"]
        return [
            text
            for place, (value, other) in enumerate(zip(expected, found, strict=True))
            for text in _differences(value, other, tolerance, f"{path}[{place}]")
        ]
    if isinstance(found, Fraction | int) and not isinstance(found, bool):
        if is_number(expected) and abs(number(expected) - found) <= tolerance:
            return []
    elif type(expected) is type(found) and expected == found:
        return []
    return [f"{name} is {_text(found)}, expected {expected!r}"]


def _text(found: object) -> str:
    """Return an outcome for people: fractions as decimal text where they are short enough."""
    if isinstance(found, dict):
        return "{" + ", ".join(f"{key}: {_text(value)}" for key, value in found.items()) + "}"
    if isinstance(found, list):
        return "[" + ", ".join(map(_text, found)) + "]"
    if not isinstance(found, Fraction):
        return repr(found)
    scaled = found * 10**12
    sign = "-" if scaled < 0 else ""
    digits, fraction = divmod(abs(scaled.numerator) // scaled.denominator, 10**12)
    text = f"{sign}{digits}.{fraction:012d}".rstrip("0").rstrip(".")
    return text if scaled.denominator == 1 else f"about {text}"
