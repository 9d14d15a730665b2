"""Message flows give the report lines on which independent engines agree."""

from __future__ import annotations

import hashlib
import lzma
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from domain.order import Side
from tests.recorded import recorded
from workers.conformance.meb import (
    COLUMNS,
    FlowError,
    MebDesk,
    Message,
    check,
    compare,
    read_messages,
)

SCENARIOS = ("normal", "static", "flash-crash", "swing-25")
RECORD = struct.Struct("<BBBxIQQqq")

# Every kind of line, and the cases in which engines go wrong: a modify into a cross pays the
# maker's price and loses its place, a late cancel and a late modify find nothing.
FLOW = """\
0,N,1,0,100,10,0
1,N,2,0,100,5,0
2,M,1,0,100,11,0
3,N,3,1,100,7,0
4,C,2,0,100,5,0
5,M,2,0,101,6,0
6,N,4,1,103,4,0
7,M,1,0,104,12,0
8,N,5,1,90,20,1
9,C,9,1,90,20,0
"""
REPORTS = """\
0,0,0,1,100,10
0,1,0,2,100,5
3,2,0,1,100,11
0,3,1,3,100,7
1,3,100,5,2,3
1,3,100,2,1,3
4,4,2
5,5,2
0,6,1,4,103,4
1,7,103,4,4,1
3,7,0,1,104,12
0,8,1,5,90,20
1,8,104,8,1,5
2,8,1,5,90
4,9,9"""


def _flow() -> list[Message]:
    messages = []
    for line in FLOW.splitlines():
        sequence, kind, order_id, side, price, quantity, ioc = line.split(",")
        order = (int(order_id), Side(int(side)), int(price), int(quantity))
        messages.append(Message(int(sequence), kind, *order, ioc == "1"))
    return messages


@pytest.mark.parametrize("kind", ["core", "reference"])
@pytest.mark.parametrize("modify", ["amend", "replace"])
def test_every_kind_of_line(kind: str, modify: str) -> None:
    """A small flow worked out by hand: both engines, and a modify both ways."""
    verdict = compare(MebDesk(kind, modify), _flow(), REPORTS.splitlines())
    assert verdict.difference is None
    assert (verdict.messages, verdict.lines, verdict.trades) == (10, 15, 4)
    assert verdict.sha256 == hashlib.sha256(REPORTS.encode()).hexdigest()


@pytest.mark.parametrize(
    ("reports", "difference"),
    [
        (REPORTS.replace("1,7,103", "1,7,104"), (10, "1,7,104,4,4,1", "1,7,103,4,4,1")),
        (REPORTS + "\n4,10,9", (16, "4,10,9", "")),
        (REPORTS.removesuffix("\n4,9,9"), (15, "", "4,9,9")),
    ],
)
def test_differences_are_found(reports: str, difference: tuple[int, str, str]) -> None:
    """Another line, one line more and one line less are named with their number."""
    verdict = compare(MebDesk("core"), _flow(), reports.splitlines())
    assert verdict.difference == difference


def test_a_part_of_a_flow_has_a_part_of_its_lines() -> None:
    """With a limit the recorded lines may go on."""
    verdict = compare(MebDesk("core"), _flow(), REPORTS.splitlines(), limit=4)
    assert (verdict.messages, verdict.lines, verdict.difference) == (4, 6, None)


def test_a_modify_that_only_shrinks_is_no_replacement() -> None:
    """It would keep its place, which a cancel and a new order cannot: better stop."""
    first = _flow()[0]
    shrinks = replace(first, sequence=1, kind="M", quantity_lots=5)
    with pytest.raises(FlowError, match="keeps its place"):
        compare(MebDesk("core"), [first, shrinks], None)


def test_files_of_the_generator(tmp_path: Path) -> None:
    """The binary flow gives the same lines; its published hash is looked up by its name."""
    kinds = {"N": 0, "C": 1, "M": 2}
    body = b"".join(
        RECORD.pack(kinds[m.kind], m.side, m.is_ioc, m.quantity_lots, m.sequence, m.order_id,
                    m.price_ticks, 0)
        for m in _flow()
    )  # fmt: skip
    path = tmp_path / "orders_own-flow_s23_n7.bin"
    path.write_bytes(bytes(16) + body)
    assert list(read_messages(path)) == _flow()
    hashes = tmp_path / "correctness_hash.txt"
    right = hashlib.sha256(REPORTS.encode()).hexdigest()
    hashes.write_text(f"{right}  own-flow_seed23_count7_reports.txt\n")
    assert check(path, "core", "amend")["ok"]
    hashes.write_text(f"{'0' * 64}  own-flow_seed23_count7_reports.txt\n")
    row = check(path, "core", "amend")
    assert not row["ok"]
    assert right in row["difference"]
    hashes.write_text("")
    with pytest.raises(FlowError, match="has no hash"):
        check(path, "core", "amend")


@pytest.mark.parametrize(
    "text", ["seq,type\n", ",".join(COLUMNS) + "\n0,Q,1,0,100,10,0\n", ",".join(COLUMNS) + "\nx\n"]
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    """Other columns, an unknown kind and a cut line are a `FlowError`."""
    path = tmp_path / "x.orders.csv.xz"
    path.write_bytes(lzma.compress(text.encode()))
    with pytest.raises(FlowError):
        list(read_messages(path))


@pytest.mark.recorded
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(
    ("kind", "modify"), [("core", "amend"), ("core", "replace"), ("reference", "amend")]
)
def test_the_consensus_line_by_line(scenario: str, kind: str, modify: str) -> None:
    """All 39,878 messages of a scenario give exactly the recorded report stream."""
    flow = recorded("meb_consensus") / f"{scenario}_s23_n20000.orders.csv.xz"
    row = check(flow, kind, modify)
    assert (row["difference"], row["messages"]) == ("", 39_878)
