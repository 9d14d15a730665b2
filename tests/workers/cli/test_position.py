"""`rialto position` against a running exchange: what it says, and its exit codes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.api.running import PERPETUAL, RunningExchange
from workers.cli import order, order_lists, position
from workers.cli.context import RunningExchange as Context
from workers.cli.position_text import (
    describe_backing,
    describe_position,
    lights_text,
    print_history,
    ratio_text,
)

RUNNER = CliRunner()
SYMBOL = PERPETUAL.symbol


def test_what_backs_positions_in_plain_english() -> None:
    """Cash, equity and ratio; a call and a liquidation are said as what they are."""
    backing = {
        "shard": 0, "asset": "USDT", "cash": "1000", "equity": "990.5", "available": "790",
        "withdrawable": "740",
        "margin_ratio_ppm": 123_456, "margin_call": False, "liquidating": False,
    }  # fmt: skip
    assert describe_backing(backing) == (
        "Cross margin, shard 0: cash 1000 USDT, equity 990.5, available for orders 790, "
        "withdrawable 740, margin ratio 12.35 %."
    )
    assert "MARGIN CALL" in describe_backing(backing | {"margin_call": True})
    ending = describe_backing(backing | {"margin_call": True, "liquidating": True})
    assert ending.endswith("In liquidation.")
    assert (ratio_text(None), lights_text(None), lights_text(2)) == ("-", "-", "●●○○○")


def test_a_position_in_plain_english() -> None:
    """What it is worth in one line, how safe it is in another, warnings in capitals."""
    one = {
        "symbol": SYMBOL, "quantity": "-2.5", "entry_price": "2500", "mark_price": "2510",
        "mark_is_fresh": False, "unrealised_profit": "-25", "realised_profit": "3",
        "mode": "isolated", "leverage": 20, "margin": "300", "margin_ratio_ppm": 910_000,
        "liquidation_price": "2550.5", "adl_lights": 1, "margin_call": True, "liquidating": False,
    }  # fmt: skip
    assert describe_position(one) == (
        "ETH/USDT-PERP: short 2.5 at 2500, mark 2510 (stale), profit -25, realised 3\n"
        "  isolated 20x with 300 of its own, margin ratio 91.00 %, liquidated at 2550.5, "
        "ADL ●○○○○, MARGIN CALL"
    )
    ending = describe_position({**one, "liquidating": True, "realised_profit": None})
    assert ending.endswith(", in liquidation")
    assert "realised" not in ending


def test_a_history_in_plain_english(capsys: pytest.CaptureFixture[str]) -> None:
    """One line an event, with the rate of a funding and the role in a liquidation."""
    event = {
        "symbol": SYMBOL, "kind": "funding", "role": None, "amount": "-0.25", "asset": "USDT",
        "quantity": "2", "funding_rate_ppm": 50, "time_us": 1_700_000_000_000_000, "sequence": 5,
    }  # fmt: skip
    taken = {"kind": "deleveraging", "role": "counterparty", "funding_rate_ppm": None}
    print_history([event, event | taken])
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        "2023-11-14 22:13:20 UTC  ETH/USDT-PERP  funding at 0.0050 %: -0.25 USDT, on 2"
    )
    assert second.endswith("deleveraging (counterparty): -0.25 USDT, position now 2")


@pytest.fixture
def app(running: RunningExchange, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """Give the command line, pointed at the running exchange with its perpetual."""
    asyncio.run(running.add_perpetual())
    demo = {
        "base_url": running.base_url,
        "accounts": [running.accounts[name].as_json() for name in ("alice", "bob")],
    }
    for verbs in (order, order_lists, position):
        monkeypatch.setattr(verbs, "load", lambda _data: Context(Path(), demo))
    made = typer.Typer()
    order.register(made)
    position.register(made)
    return made


@pytest.mark.servers
def test_a_position_from_list_to_close(app: typer.Typer, running: RunningExchange) -> None:
    """Opened by orders, listed, cut by a reduce-only order, closed whole."""
    price = asyncio.run(running.open_position("alice", "bob", "2"))
    listed = RUNNER.invoke(app, ["position", "list"])
    assert SYMBOL in listed.output
    assert "cross 10x" in listed.output
    assert "Cross margin, shard 0: cash" in listed.output
    found = json.loads(RUNNER.invoke(app, ["position", "list", "--json"]).output)
    assert [one["quantity"] for one in found["positions"]] == ["2"]
    for quantity in ("0.5", "1.5"):
        words = f"order place buy {SYMBOL} {quantity} --limit {price} --account bob"
        assert RUNNER.invoke(app, words.split()).exit_code == 0
    words = f"order buy {SYMBOL} 1 --limit {price} --dry-run --json"
    margin = json.loads(RUNNER.invoke(app, words.split()).output)["margin"]
    assert (margin["previous_position"], margin["position"]) == ("2", "3")
    assert margin["previous_liquidation_price"] == found["positions"][0]["liquidation_price"]
    words = f"order bracket buy {SYMBOL} 1 --limit {price} --stop 1 --dry-run"
    told = RUNNER.invoke(app, words.split())
    assert "position 2 -> 3 at 10x" in told.output, told.output + told.stderr
    part = RUNNER.invoke(app, f"position close {SYMBOL} --quantity 0.5 --json".split())
    assert json.loads(part.output)["reduce_only"] is True, part.output
    whole = RUNNER.invoke(app, ["position", "close", "eth-usdt-perp"])
    assert "Sell 1.5 ETH at the market, closes the position: filled." in whole.output
    again = RUNNER.invoke(app, ["position", "close", SYMBOL])
    assert (again.exit_code, again.stderr) == (1, f"There is no position in {SYMBOL}.\n")
    asyncio.run(_flat(running))


async def _flat(running: RunningExchange) -> None:
    """Check that nobody has a position."""
    for name in ("alice", "bob"):
        held = (await running.request(name, "GET", "/v1/positions")).json()["positions"]
        assert {one["quantity"] for one in held} == {"0"}, name


@pytest.mark.servers
def test_leverage_mode_and_margin(app: typer.Typer) -> None:
    """Each choice is answered with what it is now; a refusal with what is possible."""
    chosen = RUNNER.invoke(app, f"position leverage {SYMBOL} 7".split())
    assert chosen.output == f"{SYMBOL}: leverage 7, it was 10.\n"
    assert RUNNER.invoke(app, f"position leverage {SYMBOL} 10".split()).exit_code == 0
    refused = RUNNER.invoke(app, f"position leverage {SYMBOL} 51".split())
    assert (refused.exit_code, "from 1 to 50" in refused.stderr) == (1, True)
    assert RUNNER.invoke(app, f"position margin-mode {SYMBOL} sideways".split()).exit_code == 2
    mode = RUNNER.invoke(app, f"position margin-mode {SYMBOL} isolated".split())
    assert mode.output == f"{SYMBOL}: isolated margin.\n"
    move = f"position move-margin in {SYMBOL} 12.5 --move-id once-{id(mode)}".split()
    assert "own cash is 12.5 now" in RUNNER.invoke(app, move).output
    back = RUNNER.invoke(app, f"position margin-mode {SYMBOL} cross".split())
    assert back.output == f"{SYMBOL}: cross margin; 12.5 went back to the account.\n"
    assert RUNNER.invoke(app, f"position move-margin up {SYMBOL} 1".split()).exit_code == 2
    spot = RUNNER.invoke(app, ["position", "leverage", "ETH/USDT", "2"])
    assert "is a spot market" in spot.stderr
    words = ["position", "history", "--symbol", SYMBOL, "--kind", "funding"]
    history = RUNNER.invoke(app, words)
    assert (history.exit_code, "Nothing has happened" in history.output) == (0, True)


@pytest.mark.servers
def test_an_oco_that_only_reduces(app: typer.Typer, running: RunningExchange) -> None:
    """Both orders of the list close what there is, and end with it; the stop waits for the mark."""
    price = float(asyncio.run(running.open_position("alice", "bob", "1")))
    words = f"order oco sell {SYMBOL} 1 --limit {price + 20:.2f} --stop {price - 50:.2f}"
    by_mark = [*words.split(), "--trigger-source", "mark", "--reduce-only"]
    placed = RUNNER.invoke(app, [*by_mark, "--json"])
    orders = json.loads(placed.output)["orders"]
    assert [one["reduce_only"] for one in orders] == [True, True]
    listed = json.loads(RUNNER.invoke(app, ["order", "list", "--json"]).output)["orders"]
    assert [one["trigger_source"] for one in listed] == ["mark", None]
    offer = f"order place buy {SYMBOL} 1 --limit {price:.2f} --account bob"
    assert RUNNER.invoke(app, offer.split()).exit_code == 0
    closed = RUNNER.invoke(app, ["position", "close", SYMBOL])
    assert "filled" in closed.output, closed.output
    assert "No open orders." in RUNNER.invoke(app, ["order", "list"]).output
