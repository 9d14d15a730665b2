"""`rialto market`, as staff type it: a whole life of a market, and what is refused."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.workers.cli.verbs import run_verbs
from tests.workflows.market_rig import SOL, MarketRig, market_rig

pytestmark = pytest.mark.servers

ADD = (
    *("add", "SOL/USDT", "--tick", "0.01", "--lot", "0.001", "--price", "150"),
    *("--fees", "1000:2000,500:1500", "--max-order", "1000", "--reason", "wanted"),
)


@pytest.fixture
async def rig(fresh_database: str, temporal: str) -> AsyncIterator[MarketRig]:
    """Give an exchange with a worker that carries changes out."""
    async with market_rig(fresh_database, temporal) as rig, rig.worker():
        yield rig


async def verb(rig: MarketRig, *words: str) -> tuple[int, str, str]:
    """Run `rialto market ...`; return exit code and what it wrote."""
    (found,) = await verbs(rig, [list(words)])
    return found


async def verbs(rig: MarketRig, lines: list[list[str]]) -> list[tuple[int, str, str]]:
    """Run `rialto market ...` with each of the lines."""
    data = ("--data", str(rig.settings.data_dir))
    return await asyncio.to_thread(run_verbs, [["market", *words, *data] for words in lines])


async def told(rig: MarketRig, *words: str) -> Any:
    """Run it for machines; it must succeed."""
    code, out, err = await verb(rig, *words, "--json")
    assert code == 0, (words, err)
    return json.loads(out)


def _asset_file(folder: Path) -> str:
    path = folder / "sol.json"
    path.write_text(json.dumps(SOL))
    return str(path)


async def test_a_markets_life(rig: MarketRig, tmp_path: Path) -> None:
    """Added with its asset, signed twice, shown, set, halted, resumed, delisted."""
    added = await told(rig, *ADD, "--asset-file", _asset_file(tmp_path))
    assert (added["state"], added["signed_by"]) == ("proposed", [])
    first = await told(rig, "sign", added["change_id"], "--officer", "marta")
    assert first == {"signatures": 1, "state": "proposed", "sequence": None, "failure": ""}
    second = await told(rig, "sign", added["change_id"], "--officer", "piero")
    assert (second["signatures"], second["state"]) == (2, "applied")

    shown = await told(rig, "show", "SOL/USDT")
    assert shown["listed_sequence"] == second["sequence"]
    assert shown["fees"] == [[1000, 2000], [500, 1500]]
    halted = await told(rig, "halt", "SOL-USDT", "--reason", "a drill")
    (shard,) = halted["shards"]
    assert shard["closed_markets"] == [added_id := shown["symbol_id"]]
    await told(rig, "resume", "SOL/USDT", "--reason", "over")

    change = await told(rig, "set", "SOL/USDT", "--band-ppm", "5000", "--reason", "calm")
    code, out, _ = await verb(rig, "sign", change["change_id"], "--officer", "marta", "--yes")
    assert (code, "recorded; 1 of 2" in out, "band_ppm" in out) == (0, True, True)
    code, out, _ = await verb(rig, "sign", change["change_id"], "--officer", "piero", "--yes")
    assert (code, "in force at sequence" in out) == (0, True)

    gone = await told(rig, "delist", "SOL/USDT", "--reason", "over")
    for officer in ("marta", "piero"):
        last = await told(rig, "sign", gone["change_id"], "--officer", officer)
    code, out, _ = await verb(rig, "list")
    assert f"SOL/USDT     shard 0  delisted at sequence {last['sequence']}" in out
    changes = await told(rig, "list", "--changes")
    assert [change["state"] for change in changes] == ["applied"] * 3
    code, out, err = await verb(rig, "resume", "SOL/USDT", "--reason", "back please")
    assert (code, "symbol delisted" in err) == (1, True)
    assert added_id not in [
        market.symbol_id for market in (await rig.door().status()).symbols if market.state == 0
    ]


REFUSED: tuple[tuple[str, int, str], ...] = (
    ("add ETH/USDT --tick 1 --lot 1 --price 1 --fees 1:2 --max-order 1 --reason x", 1, "is listed"),
    ("add BTC/USDT --tick 1 --lot 1 --price 1 --fees 1:2 --max-order 1 --reason x", 1, "no asset"),
    ("add ETH/ETH --tick 1 --lot 1 --price 1 --fees 1:2 --max-order 1 --reason x", 1, "different"),
    ("add USDT/ETH --tick 1 --lot 1 --price 1 --fees 12 --max-order 1 --reason x", 2, "--fees"),
    ("add USDT/ETH --tick 1 --lot 1 --price 1 --fees 1:x --max-order 1 --reason x", 2, "--fees"),
    (
        "add USDT/ETH --tick 1 --lot 1 --price 1 --fees 1:2 --max-order 1 --reason x --shard 7",
        1,
        "shards",
    ),
    ("add 'a;b/USDT' --tick 1 --lot 1 --price 1 --fees 1:2 --max-order 1 --reason x", 1, "called"),
    ("set ETH/USDT --reason x", 2, "what is to change"),
    ("set ETH/USDT --band-ppm 100000 --reason x", 1, "nothing would change"),
    ("set ETH/USDT --fees 0:9000 --reason x", 1, "highest taker fee"),
    ("set XRP/USDT --band-ppm 1 --reason x", 1, "no market"),
    ("delist XRP/USDT --reason x", 1, "no market"),
    ("sign nonsense --officer marta", 1, "no change"),
    ("sign 11111111-1111-1111-1111-111111111111 --officer marta", 1, "no change"),
    ("abandon nonsense --reason x", 1, "no change"),
    ("show XRP/USDT", 1, "no market"),
    ("halt XRP/USDT --reason x", 2, "no market"),
)


async def test_what_makes_no_sense_is_refused_in_words(rig: MarketRig) -> None:
    """With a code that says whose fault it is, and nothing written."""
    found = await verbs(rig, [shlex.split(line) for line, _, _ in REFUSED])
    for (line, code, words), (exit_code, _, err) in zip(REFUSED, found, strict=True):
        assert (exit_code, words in err) == (code, True), (line, exit_code, err)
    assert await told(rig, "list", "--changes") == []


BAD_ASSETS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"more": 1}, "exactly these fields"),
    ({"code": "XRP"}, "base is SOL"),
    ({"chain": "DOGE"}, "no chain"),
    ({"contract": None}, "checksum form"),
    ({"contract": SOL["contract"].lower()}, "checksum form"),
    ({"chain_decimals": "18"}, "whole numbers"),
    ({"engine_decimals": 19}, "engine decimals"),
    ({"confirmations": 0}, "confirmation"),
    ({"withdrawal_fee": "-1"}, "not a plain decimal"),
)


async def test_a_new_assets_terms_are_checked(rig: MarketRig, tmp_path: Path) -> None:
    """Each in words; a file that is none, too."""
    expected = [
        *((json.dumps({**SOL, **change}), 1, words) for change, words in BAD_ASSETS),
        *((text, 2, "--asset-file") for text in ("[]", "{", "")),
    ]
    paths = [tmp_path / f"asset-{number}.json" for number in range(len(expected))]
    for path, (text, _, _) in zip(paths, expected, strict=True):
        path.write_text(text)
    found = await verbs(rig, [[*ADD, "--asset-file", str(path)] for path in paths])
    for (text, code, words), (exit_code, _, err) in zip(expected, found, strict=True):
        assert (exit_code, words in err) == (code, True), (text, exit_code, err)
