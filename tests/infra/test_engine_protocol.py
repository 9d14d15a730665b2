"""The document of the engine's doors is true: its tables, its example and its programs."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.commands import PlaceOrder
from domain.order import OrderType, Side, TimeInForce
from infra.engine_roles import Role
from tests.chaos.engine_process import EngineProcess
from tests.infra import protocol_tables
from tests.infra.protocol_tables import DOCUMENT, MARK, TOKEN, tables

_LINE = re.compile(r"^    ([<>]) ((?:(?:[0-9a-f]{2}|\.\.) ?){1,16})(?:  .*)?$", re.MULTILINE)
_PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
async def engine() -> AsyncIterator[EngineProcess]:
    """Give a running engine process with an open market, whose tokens are the document's."""
    engine = EngineProcess()
    secrets = engine.folder / "secrets"
    secrets.mkdir(parents=True)
    tokens = {role.name.lower(): f"token of {role.name.lower()}" for role in Role}
    (secrets / "engine-tokens.json").write_text(json.dumps(tokens))
    await engine.start()
    await engine.open_market(time.time_ns() // 1000)
    yield engine
    engine.kill()
    shutil.rmtree(engine.folder)


def test_the_tables_are_the_codes() -> None:
    """What is generated is current; else `python -m tests.infra.protocol_tables`."""
    assert DOCUMENT.read_text().partition(MARK)[2] == "\n" + tables()


def test_other_layouts_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that the code packs otherwise stops the generator."""
    monkeypatch.setattr(protocol_tables, "_AMEND", (("order_id", "I"),))
    with pytest.raises(AssertionError):
        tables()


def _conversation() -> list[tuple[str, list[int | None]]]:
    """Return the example's turns: who, and its bytes; None is a byte that differs."""
    turns: list[tuple[str, list[int | None]]] = []
    for match in _LINE.finditer(DOCUMENT.read_text()):
        who, text = match.groups()
        data = [None if byte == ".." else int(byte, 16) for byte in text.split()]
        if turns and turns[-1][0] == who:
            turns[-1][1].extend(data)
        else:
            turns.append((who, data))
    return turns


async def test_the_example_is_what_happens(engine: EngineProcess) -> None:
    """Byte for byte: what the document sends is answered as the document says."""
    turns = _conversation()
    assert [who for who, _ in turns] == [">", "<", ">", "<"]
    reader, writer = await asyncio.open_unix_connection(engine.socket)
    for who, data in turns:
        if who == ">":
            writer.write(bytes(byte for byte in data if byte is not None))
            continue
        answer = await asyncio.wait_for(reader.readexactly(len(data)), 30)
        assert [
            byte if wanted is not None else None for byte, wanted in zip(answer, data, strict=True)
        ] == data
    writer.close()
    assert engine.tokens.of("gateway") == TOKEN


async def test_the_programs_run(engine: EngineProcess) -> None:
    """Stubs, client and numpy view: each program of the document, as it stands there."""
    programs = _PROGRAM.findall(DOCUMENT.read_text())
    assert len(programs) == 3
    names: dict[str, Any] = {
        "target": engine.target,
        "socket": engine.socket,
        "token": engine.tokens.of("gateway"),
        "reader_token": engine.tokens.of("reader"),
    }
    for program in programs:
        await asyncio.to_thread(exec, compile(program, "engine-protocol.md", "exec"), names)
    assert names["order"].price_ticks == 940
    assert names["traded"] == 0
    client = await engine.client()
    sell = PlaceOrder(2, 5, 1, Side.SELL, OrderType.LIMIT, TimeInForce.IOC, 940, 2)
    await client.submit(sell)
    await client.close()
    await asyncio.to_thread(exec, compile(programs[2], "engine-protocol.md", "exec"), names)
    assert names["traded"] == 2
