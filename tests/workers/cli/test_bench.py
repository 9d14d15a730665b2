"""The benchmarks measure the engine that trades: their fills are those of a plain book."""

from __future__ import annotations

import json
import random
import struct
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from workers.__main__ import build
from workers.bench.drawn import drawn_flow
from workers.bench.native import native
from workers.cli.bench import measure

LINE = struct.Struct("<BBHIQq")
MASK = 2**64 - 1


def small_flow(seed: int, count: int) -> tuple[bytes, dict[str, object]]:
    """Return a drawn flow and what a book of lists makes of it."""
    rnd = random.Random(seed)
    raw = bytearray()
    sides: tuple[dict[int, deque[list[int]]], ...] = (
        {},
        {},
    )  # price -> [id, quantity] in time order
    live: dict[int, tuple[int, int, list[int]]] = {}
    trades = volume = checksum = 0
    for number in range(1, count + 1):
        if live and rnd.random() < 0.3:
            target = rnd.choice(list(live))
            side, price, node = live.pop(target)
            sides[side][price].remove(node)
            raw += LINE.pack(1, side, 0, 0, target, price)
        side, price, quantity = rnd.randint(0, 1), rnd.randint(95, 105), rnd.randint(1, 30)
        raw += LINE.pack(0, side, 0, quantity, number, price)
        book = sides[1 - side]
        while quantity:
            levels = [p for p, queue in book.items() if queue]
            best = (min if side == 0 else max)(levels, default=None)
            if best is None or (best > price if side == 0 else best < price):
                break
            maker = book[best][0]
            fill = min(quantity, maker[1])
            quantity -= fill
            maker[1] -= fill
            trades += 1
            volume += fill
            mixed = maker[0] * 0x9E3779B97F4A7C15 + number * 31 + best * 17 + fill
            checksum = (checksum * 1099511628211 & MASK) ^ (mixed & MASK)
            if not maker[1]:
                book[best].popleft()
                del live[maker[0]]
        if quantity:
            node = [number, quantity]
            sides[side].setdefault(price, deque()).append(node)
            live[number] = (side, price, node)
    return bytes(raw), {"trades": trades, "volume": volume, "checksum": f"{checksum:016x}"}


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """Write a flow with its expectation beside it."""
    raw, expected = small_flow(7, 800)
    path = tmp_path / "flow.bin"
    path.write_bytes(raw)
    path.with_name("flow.bin.json").write_text(json.dumps(expected))
    return path


def test_core_reports_rates_and_the_flows_own_fills(flow: Path) -> None:
    """Every rate is there, and trades, volume and checksum are the plain book's."""
    result = CliRunner().invoke(
        build(), ["bench", "core", "--flow", str(flow), "--passes", "2", "--json"]
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert report["as_expected"] is True
    assert report["bare_book_agrees"] is True
    assert report["rejected"] == 0
    assert report["trades"] > 100
    rates = [name for name in report if "per_second" in name]
    assert len(rates) == 6
    assert all(report[name] > 0 for name in rates)
    assert 64 < report["bytes_per_resting_order"] < 200
    assert "resident set" in report["bytes_per_resting_order_method"]
    assert 0 < report["p50_ns"] <= report["p99_ns"] <= report["p999_ns"]


def test_core_draws_a_flow_of_its_own() -> None:
    """Without a file there is one all the same, and its fills are those of its own book."""
    raw, expected = drawn_flow(4_000)
    assert len(raw) == 4_000 * LINE.size
    report = measure(native(), raw, 1, 100)
    assert {name: report[name] for name in expected} == expected
    assert (report["bare_book_agrees"], report["rejected"]) == (True, 0)


def test_wrong_fills_are_a_failure(flow: Path) -> None:
    """A flow that expects other fills ends with exit code 1."""
    expectation = flow.with_name("flow.bin.json")
    expected = json.loads(expectation.read_text())
    expectation.write_text(json.dumps({**expected, "volume": expected["volume"] + 1}))
    arguments = ["bench", "core", "--flow", str(flow), "--passes", "1"]
    assert CliRunner().invoke(build(), arguments).exit_code == 1


def test_a_bare_book_that_disagrees_is_a_failure(
    flow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figure beside ours is of the same fills, or the run is void."""
    flow.with_name("flow.bin.json").unlink()
    monkeypatch.setattr("matching.core_engine.load_core", _OtherBook)
    arguments = ["bench", "core", "--flow", str(flow), "--passes", "1", "--json"]
    result = CliRunner().invoke(build(), arguments)
    assert (result.exit_code, json.loads(result.output)["bare_book_agrees"]) == (1, False)


class _OtherBook:
    """The native module with a bare book that makes other fills."""

    def __getattr__(self, name: str) -> Any:
        return getattr(native(), name)

    def bench_bare_book(self, raw: bytes, passes: int) -> dict[str, Any]:
        return {**native().bench_bare_book(raw, passes), "checksum": 1}


@pytest.mark.parametrize(
    ("raw", "beside", "words"),
    [
        (None, "", "no flow at"),
        (b"", "", "empty"),
        (b"123", "", "24 bytes"),
        (LINE.pack(0, 0, 0, 1, 1, 100), "{", "flow.bin: "),
        (LINE.pack(0, 0, 0, 1, 1, 100), '{"trades": 0}', "trades, volume, checksum"),
        (LINE.pack(0, 0, 0, 1, 2**40, 100), "", "32-bit ids"),
    ],
)
def test_a_flow_that_is_none_is_refused(
    tmp_path: Path, raw: bytes | None, beside: str, words: str
) -> None:
    """What is wrong with the file, or with what lies beside it, is said, with exit code 2."""
    path = tmp_path / "flow.bin"
    if raw is not None:
        path.write_bytes(raw)
    if beside:
        path.with_name("flow.bin.json").write_text(beside)
    result = CliRunner().invoke(build(), ["bench", "core", "--flow", str(path), "--passes", "1"])
    assert result.exit_code == 2, result.output
    assert words in result.output
