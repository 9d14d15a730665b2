"""`rialto order` against a running exchange: what it says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.api.running import RunningExchange
from workers.cli import order
from workers.cli.context import RunningExchange as Context
from workers.cli.order import describe

RUNNER = CliRunner()
FILLED = {
    "order_id": "7",
    "symbol": "ETH/USDT",
    "side": "buy",
    "price": "2500.1",
    "quantity": "1",
    "filled_quantity": "0.4",
    "status": "open",
    "sequence": 9,
    "duplicate": False,
    "fills": [
        {"trade_id": "3", "price": "2500", "quantity": "0.4", "fee": "2", "fee_asset": "USDT"}
    ],
}


def test_an_answer_in_plain_english() -> None:
    """What happened, each fill with its fee, and the numbers to ask about it."""
    assert describe(FILLED) == (
        "Buy 1 ETH at 2500.1 USDT: open, 0.4 filled so far.\n"
        "  filled 0.4 ETH at 2500, fee 2 USDT (trade 3)\n"
        "  order 7, sequence 9"
    )
    expired = {**FILLED, "status": "expired", "price": None, "fills": []}
    assert "at the market: 0.4 filled, the rest expired." in describe(expired)
    assert "placed before" in describe({**FILLED, "duplicate": True})


@pytest.fixture
def app(running: RunningExchange, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """Give the command line, pointed at the running exchange."""
    demo = {
        "base_url": running.base_url,
        "accounts": [running.accounts[name].as_json() for name in ("alice", "bob")],
    }
    monkeypatch.setattr(order, "load", lambda _data: Context(Path(), demo))
    made = typer.Typer()
    order.register(made)
    made.command("other")(lambda: None)
    return made


@pytest.mark.servers
def test_place_list_cancel(app: typer.Typer) -> None:
    """The life of a limit order from the command line."""
    placed = RUNNER.invoke(app, ["order", "buy", "eth-usdt", "0.5", "--limit", "2401", "--json"])
    order_id = json.loads(placed.output)["order_id"]
    assert placed.exit_code == 0
    listed = RUNNER.invoke(app, ["order", "list", "--symbol", "ETH/USDT"])
    assert order_id in listed.output
    cancelled = RUNNER.invoke(app, ["order", "cancel", order_id])
    assert f"Cancelled order {order_id} in ETH/USDT" in cancelled.output
    assert "No open orders." in RUNNER.invoke(app, ["order", "list"]).output
    assert "Nothing was open." in RUNNER.invoke(app, ["order", "cancel", "--all"]).output


@pytest.mark.servers
def test_a_trade_between_two_accounts(app: typer.Typer) -> None:
    """`--account` chooses the demo account; the taker sees the fill."""
    RUNNER.invoke(app, ["order", "sell", "ETH/USDT", "0.3", "--limit", "2501", "--account", "bob"])
    bought = RUNNER.invoke(app, ["order", "buy", "ETH/USDT", "0.3", "--market"])
    assert "filled 0.3 ETH at 2501" in bought.output


@pytest.mark.servers
@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ("order buy ETH/USDT 1", 2, "either --market or --limit"),
        ("order buy ETH/USDT 1 --market --limit 5", 2, "either --market or --limit"),
        ("order cancel", 2, "an order id or --all"),
        ("order buy ETH/USDT 1 --limit 2500.001", 1, "not a multiple of 0.01"),
        (
            "order buy ETH/USDT 1 --limit 25oo",
            1,
            "text. The price is '25oo'; write it like 2500.01.",
        ),
        ("order buy NO/NO 1 --market", 1, "No such market"),
        ("order cancel 99", 1, "No such open order"),
    ],
)
def test_refusals_and_exit_codes(app: typer.Typer, arguments: str, code: int, text: str) -> None:
    """2 for a wrong command line, 1 for a refusal, each with a sentence."""
    done = RUNNER.invoke(app, arguments.split())
    assert (done.exit_code, text in done.output) == (code, True), done.output


@pytest.mark.servers
def test_a_gateway_that_is_gone_is_exit_code_3(
    app: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for an exchange that does not run."""
    accounts = [{"name": "a", "api_key": "k", "api_secret": "s"}]
    demo = {"base_url": "http://127.0.0.1:1", "accounts": accounts}
    monkeypatch.setattr(order, "load", lambda _data: Context(Path(), demo))
    done = RUNNER.invoke(app, ["order", "list"])
    assert (done.exit_code, "does not answer" in done.output) == (3, True)
