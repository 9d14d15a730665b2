"""Risk vectors: all of ours pass exactly, those of the document too; a wrong one is noticed."""

from __future__ import annotations

import copy
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.sources import ROOT
from workers.conformance.vector_text import Grid, VectorError, number, step_of
from workers.conformance.vectors import (
    ADAPTERS,
    Case,
    case_of,
    read_folder,
    run_case,
    run_folder,
)

FOLDER = ROOT / "tests" / "vectors"
PUBLISHED = 100
EXAMPLE = re.compile(r"```json\n(?P<case>.*?)```", re.DOTALL)
GOOD: dict[str, Any] = {
    "id": "one",
    "op": "insurance_delta_allowed",
    "inputs": {"balance": "1", "delta": "-1"},
    "expected": {"valid": True},
}


def _write(folder: Path, *cases: object, name: str = "a.json") -> None:
    (folder / name).write_text(json.dumps({"cases": list(cases)}))


def _examples() -> list[Case]:
    found = EXAMPLE.findall((ROOT / "docs" / "risk.md").read_text())
    return [
        case_of("risk.md", place, {"id": f"example {place}", **json.loads(text)})
        for place, text in enumerate(found, 1)
    ]


def test_every_vector_passes_exactly() -> None:
    """The published cases that our rules follow, and our own beside them."""
    report = run_folder(FOLDER)
    assert report.failures == []
    assert report.skips == []
    cases = read_folder(FOLDER)
    assert report.passed == len(cases)
    assert sum(case.case_id.startswith("S-") for case in cases) == PUBLISHED


def test_every_op_is_named_and_has_a_case() -> None:
    """What a runner can do is in ops.json; and each of it is shown by at least one case."""
    named = set(json.loads((FOLDER / "ops.json").read_text())["ops"])
    assert named == set(ADAPTERS)
    assert {case.op for case in read_folder(FOLDER)} == named


def test_examples_of_the_document_are_true() -> None:
    """Each example of docs/risk.md is a case that passes."""
    examples = _examples()
    assert len(examples) > 20
    assert {case.case_id: run_case(case) for case in examples if run_case(case)} == {}


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key in value for leaf in _leaves(value[key], (*path, key))]
    if isinstance(value, list):
        return [leaf for place, one in enumerate(value) for leaf in _leaves(one, (*path, place))]
    return [path]


def _wrong(value: object) -> object:
    if isinstance(value, bool):
        return not value
    try:
        return str(number(value).numerator + 10**9)
    except VectorError:
        return "something else"


@pytest.mark.parametrize("file", sorted(path.name for path in FOLDER.glob("*.json")))
def test_a_wrong_expectation_is_noticed(file: str) -> None:
    """Whichever value of whichever case is changed: nothing is compared in vain."""
    for case in read_folder(FOLDER):
        if case.file != file:
            continue
        for path in _leaves(case.expected):
            expected = copy.deepcopy(dict(case.expected))
            node: Any = expected
            for step in path[:-1]:
                node = node[step]
            node[path[-1]] = _wrong(node[path[-1]])
            changed = Case(file, case.case_id, case.op, case.inputs, expected)
            assert run_case(changed), f"{case.case_id} {path}"


def test_tolerance_is_honoured_and_exact_without() -> None:
    """Off by a hundredth: a failure, unless the case allows as much."""
    row = {
        "op": "funding_cap",
        "inputs": {"factor": "1", "imr": "0.5", "maintenance_fraction": "0"},
        "expected": {"cap": "0.51"},
    }
    assert run_case(case_of("f", 1, {"id": "x", **row})) == ["cap is 0.5, expected '0.51'"]
    assert run_case(case_of("f", 1, {"id": "x", **row, "tolerance": "0.01"})) == []


def test_differences_say_where() -> None:
    """A path, what was found, what was expected; keys beyond that are ignored."""
    inputs = {
        "mark": "0.3333",
        "funding_rate": "0.0001",
        "positions": [{"account": "a", "size": "1"}],
    }
    wrong = {"entries": [{"account": "b", "amount": None}], "rounding": "0.000034"}
    found = run_case(Case("f", "x", "funding_batch", inputs, wrong))
    assert found == [
        "entries[0].account is 'a', expected 'b'",
        "entries[0].amount is -0.000034, expected None",
    ]
    short = run_case(Case("f", "x", "funding_batch", inputs, {"entries": [], "more": "1"}))
    assert short[0] == "entries has 1 entries, expected 0"
    assert short[1].startswith("more is missing, expected '1'; found {entries: [{account: 'a'")
    thirds = {"levels": [["3", "1"], ["7", "9"]], "impact_notional": "5"}
    assert run_case(Case("f", "x", "impact_price", thirds, {"impact_price": "4"})) == [
        "impact_price is about 3.888888888888, expected '4'"
    ]


def test_another_venues_rule_is_skipped_with_a_reason(tmp_path: Path) -> None:
    """Its op needs a name in ops.json, no function; one that applies without a function fails."""
    (tmp_path / "ops.json").write_text(json.dumps({"ops": {"theirs": "not used here"}}))
    other = {**GOOD, "id": "two", "op": "theirs"}
    _write(tmp_path, GOOD, {**other, "applies_to_spec": False})
    report = run_folder(tmp_path)
    assert (report.passed, report.failures) == (1, [])
    assert report.skips == [
        {
            "id": "two",
            "file": "a.json",
            "op": "theirs",
            "reason": "applies_to_spec is false: it documents another venue's rule",
        }
    ]
    _write(tmp_path, other)
    (failure,) = run_folder(tmp_path).failures
    assert failure["differences"] == ["Rialto has no function for the op theirs"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "a.json is not a JSON object"),
        ("{", "a.json cannot be read"),
        ("[" * 1_000_000, "a.json cannot be read: it is nested too deeply"),
        ('{"cases": [' + '{"a":' * 40, "a.json cannot be read: it is nested too deeply"),
        ('{"cases": "' + "[" * 40 + '"}', "a.json has no list of cases"),
        ('{"cases": [{"id": "x", "op": "y", "inputs": {"a": 1.5}}]}', "1.5 is not in quotes"),
        ('{"cases": NaN}', "NaN is not in quotes"),
        ('{"cases": ' + "9" * 5_000 + "}", "a.json cannot be read"),
        ("{}", "a.json has no list of cases"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    """With what is wrong; numbers that a reader might round are refused."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(VectorError, match=re.escape(message)):
        run_folder(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"op": "funding_rat"}, "a.json one: unknown op 'funding_rat'"),
        ({"id": 5}, "case 1 has no id or no op"),
        ({"inputs": []}, "a.json one: inputs or expected is no object, or expected is empty"),
        ({"expected": {}}, "a.json one: inputs or expected is no object, or expected is empty"),
        ({"applies_to_spec": "yes"}, "applies_to_spec is neither true nor false"),
        ({"tolerance": "much"}, "a.json one: tolerance: 'much' is not a plain decimal number"),
        ({"inputs": {"balance": "1"}}, "a.json one: inputs: 'delta' is missing"),
        ({"inputs": {"balance": "1e3", "delta": "0"}}, "'1e3' is not a plain decimal number"),
        ({"inputs": {"balance": "0.0000001", "delta": "0"}}, "not a whole number of units"),
        ({"inputs": {"balance": True, "delta": "0"}}, "True is not a plain decimal number"),
        ({"op": "price_band", "inputs": {"mark": "1", "bandwidth": "0", "order": 5}}, "inputs: "),
        ({"op": "mark_price", "inputs": {}}, "inputs: 'index' is missing"),
    ],
)
def test_unreadable_cases_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """File, id and what is wrong with it; nothing counts as passed or failed."""
    _write(tmp_path, {**GOOD, **changes})
    with pytest.raises(VectorError, match=re.escape(message)):
        run_folder(tmp_path)


def test_a_folder_has_cases_with_ids_of_their_own(tmp_path: Path) -> None:
    """No folder, none in it, or one id twice."""
    with pytest.raises(VectorError, match="there is no folder"):
        run_folder(tmp_path / "none")
    with pytest.raises(VectorError, match="there are no vectors"):
        run_folder(tmp_path)
    _write(tmp_path, GOOD)
    _write(tmp_path, GOOD, name="b.json")
    with pytest.raises(VectorError, match=re.escape("b.json one: this id is used twice")):
        run_folder(tmp_path)
    _write(tmp_path, "x", name="b.json")
    with pytest.raises(VectorError, match=re.escape("b.json: case 1 is not an object")):
        run_folder(tmp_path)
    (tmp_path / "ops.json").write_text("{}")
    with pytest.raises(VectorError, match=re.escape("ops.json has no ops")):
        run_folder(tmp_path)


def test_grids_are_the_coarsest_powers_of_ten() -> None:
    """50,000 and 3,000 lie on thousands; what is not whole in units is refused, never rounded."""
    assert step_of([Fraction(50_000), Fraction(3_000)]) == 1_000
    assert step_of([Fraction("0.25"), Fraction(0)]) == Fraction("0.01")
    assert step_of([]) == 1
    grid = Grid.of(["50000"], ["0.00021347", "1"])
    assert (grid.units_per_tick_lot, grid.lots("0.00021347"), grid.ticks("50000")) == (
        100,
        21_347,
        5,
    )
    with pytest.raises(VectorError, match="one tick times one lot"):
        _ = Grid.of(["0.0001"], ["0.001"]).units_per_tick_lot
