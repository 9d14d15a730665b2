"""`rialto order` against a running exchange: what it says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.api.running import RunningExchange
from workers.__main__ import build
from workers.cli import order, order_lists
from workers.cli.context import RunningExchange as Context
from workers.cli.order_text import (
    describe,
    describe_amend,
    describe_dry_run,
    describe_halted,
    describe_problem,
    describe_switch,
    print_table,
)

RUNNER = CliRunner()
FILLED = {
    "order_id": "7",
    "symbol": "ETH/USDT",
    "side": "buy",
    "type": "limit",
    "price": "2500.1",
    "trigger_price": None,
    "trailing_offset": None,
    "order_list_id": None,
    "quantity": "1",
    "quote_amount": None,
    "display_quantity": None,
    "time_in_force": "gtc",
    "expires_at_us": None,
    "post_only": False,
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
    expired = {
        **FILLED,
        "status": "expired",
        "type": "market",
        "price": None,
        "time_in_force": "ioc",
        "fills": [],
    }
    assert "at the market: 0.4 filled, the rest expired." in describe(expired)
    spent = {**expired, "quote_amount": "100"}
    assert "Buy 1 ETH for at most 100 USDT at the market:" in describe(spent)
    stop: dict[str, object] = {
        "type": "stop",
        "price": None,
        "trigger_price": "2400",
        "waiting": True,
        "fills": [],
    }
    assert "at the market, stop at 2400: waiting." in describe({**FILLED, **stop})
    trails = {**stop, "type": "trailing_stop", "trigger_price": None, "trailing_offset": "50"}
    assert "at the market, trailing by 50: waiting." in describe({**FILLED, **trails})
    by_mark, by_index = {**stop, "trigger_source": "mark"}, {**trails, "trigger_source": "index"}
    assert "at the market, stop at mark 2400: waiting." in describe({**FILLED, **by_mark})
    assert "at the market, trailing index by 50: waiting." in describe({**FILLED, **by_index})
    rare = {
        "time_in_force": "gtd",
        "expires_at_us": 1_893_456_000_000_000,
        "post_only": True,
        "display_quantity": "0.1",
    }
    assert ", until 2030-01-01 00:00:00 UTC, post-only, shows 0.1: open" in describe(
        {**FILLED, **rare}
    )
    assert "at 2500.1 USDT, of list 7: open" in describe({**FILLED, "order_list_id": "7"})
    assert "placed before" in describe({**FILLED, "duplicate": True})


def test_a_dry_run_in_plain_english() -> None:
    """What it would hold; on a perpetual position and liquidation price before and after."""
    spot = {"symbol": "ETH/USDT", "side": "buy", "hold": "250.5", "hold_asset": "USDT"}
    assert describe_dry_run({**spot, "margin": None}) == (
        "Would be accepted: buy in ETH/USDT, holding 250.5 USDT. Nothing was placed."
    )
    margin = {
        "price": "2500", "quantity": "1", "position": "3", "previous_position": "2", "leverage": 10,
        "initial_margin": "750", "maintenance_margin": "75", "fee": "1.25",
        "liquidation_price": "1900.5", "previous_liquidation_price": None,
    }  # fmt: skip
    told = describe_dry_run({**spot, "symbol": "ETH/USDT-PERP", "margin": margin})
    assert told == (
        "Would be accepted: buy in ETH/USDT-PERP. Nothing was placed.\n"
        "  filled 1 ETH at 2500: position 2 -> 3 at 10x, fee at most 1.25 USDT\n"
        "  initial margin 750, maintenance 75 USDT, liquidation price none -> 1900.5"
    )


def test_an_amend_and_a_switch_in_plain_english() -> None:
    """What it is now, what it was, and whether it lost its place; until when one may be silent."""
    amended = {
        **FILLED,
        "previous_price": "2500.1",
        "previous_quantity": "2",
        "kept_place": True,
        "fills": [],
    }
    assert describe_amend(amended) == (
        "Order 7 is 1 ETH at 2500.1 USDT (it was 2 at 2500.1) and kept its place: "
        "open, 0.4 filled so far."
    )
    assert "went to the end of its queue" in describe_amend({**amended, "kept_place": False})
    assert "at 2030-01-01 00:00:00 UTC unless" in describe_switch(
        {"deadline_us": 1_893_456_000_000_000}
    )
    assert describe_switch({"deadline_us": None}) == "The dead-man's switch is off."


@pytest.fixture
def app(running: RunningExchange, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """Give the command line, pointed at the running exchange."""
    demo = {
        "base_url": running.base_url,
        "accounts": [running.accounts[name].as_json() for name in ("alice", "bob")],
    }
    for verbs in (order, order_lists):
        monkeypatch.setattr(verbs, "load", lambda _data: Context(Path(), demo))
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
def test_every_term_amend_and_cancel_by_side(app: typer.Typer) -> None:
    """What `place --help` offers reaches the exchange, and `list` shows it."""
    arguments = "order place buy ETH/USDT 1 --limit 2402 --until 2099-01-01 --display 0.25"
    placed = RUNNER.invoke(
        app, [*arguments.split(), "--post-only", "--self-trade", "decrement", "--json"]
    )
    order = json.loads(placed.output)
    assert (order["time_in_force"], order["display_quantity"]) == ("gtd", "0.25")
    assert (order["post_only"], order["self_trade"]) == (True, "decrement")
    assert order["expires_at_us"] == 4_070_908_800_000_000
    listed = RUNNER.invoke(app, ["order", "list"], terminal_width=200, env={"COLUMNS": "200"})
    assert "until 2099-01-01 00:00:00 UTC, post-only, shows 0.25" in listed.output
    amended = RUNNER.invoke(app, ["order", "amend", order["order_id"], "--quantity", "0.5"])
    assert "is 0.5 ETH at 2402 USDT (it was 1 at 2402) and kept its place" in amended.output
    assert "switch is off" in RUNNER.invoke(app, ["order", "dead-mans-switch", "0"]).output
    sells = RUNNER.invoke(app, ["order", "cancel", "--all", "--side", "sell"])
    assert "Nothing was open." in sells.output
    buys = RUNNER.invoke(app, ["order", "cancel", "--all", "--side", "buy", "--symbol", "eth-usdt"])
    assert f"Cancelled order {order['order_id']}" in buys.output


@pytest.mark.servers
def test_orders_that_wait(app: typer.Typer) -> None:
    """A stop, its new trigger, and a take-profit with a limit; all are cancelled."""
    options = ["--market", "--stop", "2300", "--json"]
    stop = json.loads(RUNNER.invoke(app, ["order", "sell", "ETH/USDT", "1", *options]).output)
    assert (stop["type"], stop["trigger_price"], stop["waiting"]) == ("stop", "2300", True)
    amended = RUNNER.invoke(app, ["order", "amend", stop["order_id"], "--trigger", "2310"])
    assert "is 1 ETH at the market from 2310" in amended.output
    options = ["--limit", "2690", "--take-profit", "2700"]
    profit = RUNNER.invoke(app, ["order", "sell", "ETH/USDT", "1", *options])
    assert "Sell 1 ETH at 2690 USDT, take profit limit at 2700: waiting." in profit.output
    gone = RUNNER.invoke(app, ["order", "cancel", "--all"])
    assert gone.output.count("Cancelled order") == 2


@pytest.mark.servers
def test_two_orders_of_which_one_ends_the_other(app: typer.Typer) -> None:
    """Both are placed and listed with their list, and cancelling one cancels both."""
    options = ["--limit", "2700", "--stop", "2300", "--stop-limit", "2290", "--until", "2099-01-01"]
    placed = RUNNER.invoke(app, ["order", "oco", "sell", "eth-usdt", "0.5", *options, "--json"])
    answer = json.loads(placed.output)
    ids = [order["order_id"] for order in answer["orders"]]
    assert [order["type"] for order in answer["orders"]] == ["limit", "stop_limit"]
    assert {order["order_list_id"] for order in answer["orders"]} == {answer["order_list_id"]}
    listed = RUNNER.invoke(app, ["order", "list"], terminal_width=200, env={"COLUMNS": "200"})
    assert listed.output.count(f"of list {answer['order_list_id']}") == 2
    assert (
        "cancel the list and place it anew"
        in RUNNER.invoke(app, ["order", "amend", ids[0], "--quantity", "0.4"]).output
    )
    cancelled = RUNNER.invoke(app, ["order", "cancel", ids[1]])
    assert f"Order {ids[0]} of its list went with it." in cancelled.output
    trails = ["--take-profit", "2710", "--limit", "2700", "--trail", "50"]
    told = RUNNER.invoke(app, ["order", "oco", "sell", "ETH/USDT", "0.5", *trails])
    assert "take profit limit at 2710" in told.output, told.output
    assert "trailing by 50" in told.output
    assert "one ends the other: list" in told.output
    gone = RUNNER.invoke(app, ["order", "cancel", "--all"])
    assert gone.output.count("Cancelled order") == 2


@pytest.mark.servers
def test_a_bracket(app: typer.Typer) -> None:
    """Its exits are pending until the entry is filled; then they end each other."""
    options = ["--limit", "2410", "--take-profit", "2700", "--stop", "2300"]
    told = RUNNER.invoke(app, ["order", "bracket", "buy", "ETH/USDT", "0.5", *options])
    assert "Buy 0.5 ETH at 2410 USDT" in told.output, told.output
    assert told.output.count(": pending.") == 2
    assert "what follows stands for what the first one has filled" in told.output
    listed = RUNNER.invoke(app, ["order", "list", "--json"])
    orders = json.loads(listed.output)["orders"]
    assert sorted(order["pending"] for order in orders) == [False, True, True]
    sell = ["order", "sell", "ETH/USDT", "0.5", "--limit", "2410", "--account", "bob"]
    RUNNER.invoke(app, sell)
    orders = json.loads(RUNNER.invoke(app, ["order", "list", "--json"]).output)["orders"]
    assert [(order["pending"], order["quantity"]) for order in orders] == [(False, "0.5")] * 2
    gone = RUNNER.invoke(app, ["order", "cancel", orders[0]["order_id"]])
    assert f"Order {orders[1]['order_id']} of its list went with it." in gone.output
    market = ["order", "bracket", "sell", "eth-usdt", "0.1", "--market", "--trail", "50", "--json"]
    RUNNER.invoke(app, ["order", "buy", "ETH/USDT", "0.1", "--limit", "2420", "--account", "bob"])
    answer = json.loads(RUNNER.invoke(app, market).output)
    assert answer["kind"] == "bracket", answer
    assert [order["status"] for order in answer["orders"]] == ["filled", "open"]
    RUNNER.invoke(app, ["order", "cancel", "--all"])


@pytest.mark.servers
def test_a_market_buy_by_amount(app: typer.Typer) -> None:
    """`--quote` spends at most that, fee included."""
    RUNNER.invoke(app, ["order", "sell", "ETH/USDT", "1", "--limit", "2501", "--account", "bob"])
    bought = RUNNER.invoke(app, ["order", "buy", "ETH/USDT", "--market", "--quote", "100"])
    assert "Buy 0.0399 ETH for at most 100 USDT at the market: filled." in bought.output
    RUNNER.invoke(app, ["order", "cancel", "--all", "--account", "bob"])


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
        ("order buy ETH/USDT --limit 5", 2, "either a quantity or --quote"),
        ("order buy ETH/USDT 1 --limit 5 --quote 7", 2, "either a quantity or --quote"),
        ("order buy ETH/USDT 1 --limit 2400 --until soon", 2, "'soon' is not a time"),
        ("order buy ETH/USDT 1 --limit 2400 --until 2020-01-01", 1, "expiry has passed"),
        ("order place hold ETH/USDT 1 --limit 2400", 1, "not acceptable"),
        ("order cancel", 2, "an order id or --all"),
        ("order cancel 1 --side buy", 2, "go with --all"),
        ("order cancel --all --side up", 1, "not acceptable"),
        ("order amend 1", 2, "Give --limit PRICE, --quantity QUANTITY or --trigger PRICE"),
        ("order sell ETH/USDT 1 --market --stop 5 --trail 5", 2, "one of --stop, --take-profit"),
        ("order sell ETH/USDT 1 --limit 5 --trail 5", 2, "--trail goes with --market"),
        ("order oco sell ETH/USDT 1 --stop 5", 2, "--limit PRICE, --take-profit PRICE"),
        ("order oco sell ETH/USDT 1 --limit 5", 2, "either --stop PRICE or --trail OFFSET"),
        ("order oco sell ETH/USDT 1 --limit 9 --trail 5 --stop-limit 4", 2, "goes with --stop"),
        ("order oco sell ETH/USDT 1 --limit 2400 --stop 2500", 1, "better than the stop's trigger"),
        ("order bracket buy ETH/USDT 1 --take-profit 5", 2, "either --market or --limit"),
        ("order bracket buy ETH/USDT 1 --limit 5", 2, "--take-profit PRICE, --stop PRICE or"),
        ("order bracket buy ETH/USDT 1 --limit 5 --stop 4 --trail 1", 2, "either --stop PRICE"),
        ("order bracket buy ETH/USDT 1 --limit 5 --trail 1 --stop-limit 4", 2, "goes with --stop"),
        ("order bracket buy ETH/USDT 1 --limit 2400 --stop 2450", 1, "entry (at the market"),
        ("order oco sell ETH/USDT 1 --limit 2700.001 --stop 2300", 1, "take_profit: The price"),
        ("order amend 99 --quantity 1", 1, "No such open order"),
        ("order amend ../x --quantity 1", 1, "Refused"),
        ("order dead-mans-switch 90000", 1, "at most 24 hours"),
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
    for verbs in (order, order_lists):
        monkeypatch.setattr(verbs, "load", lambda _data: Context(Path(), demo))
    done = RUNNER.invoke(app, ["order", "list"])
    assert (done.exit_code, "does not answer" in done.output) == (3, True)


def test_orders_that_a_halt_keeps_are_told() -> None:
    """Nobody takes "nothing was open" for an answer while orders stand in a halted market."""
    halted = {"symbol": "ETH/USDT", "open_orders": 2, "reason": "a glitch"}
    assert describe_halted(halted) == (
        "Still open: 2 in ETH/USDT, which is halted (a glitch) and takes no cancels. "
        "Cancel again when it trades."
    )
    assert "which is halted and takes" in describe_halted({**halted, "reason": ""})


@pytest.mark.parametrize(
    ("pid", "advice"), [(None, "Start it with `./rialto up`"), (7, "try again when")]
)
def test_an_exchange_that_cannot_answer_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pid: int | None, advice: str
) -> None:
    """Exit code 3 says to start it, or to wait for one that is on its way."""
    monkeypatch.setattr("workers.cli.context.supervisor_pid", lambda _folder: pid)
    done = RUNNER.invoke(build(), ["order", "list", "--data", str(tmp_path)])
    assert (done.exit_code, advice in done.output.replace("\n", " ")) == (3, True), done.output


@pytest.mark.parametrize(
    ("title", "detail", "told"),
    [
        ("The market is halted", "The market is halted: why", "The market is halted: why."),
        ("No such market", "There is no market 'A'.", "No such market. There is no market 'A'."),
        ("Nothing to trade against", "Nothing to trade against", "Nothing to trade against."),
        ("", "Bad gateway", "Bad gateway."),
    ],
)
def test_a_refusal_is_said_once(title: str, detail: str, told: str) -> None:
    """The title stands before the detail only where the detail does not say it already."""
    assert describe_problem({"title": title, "detail": detail}) == told


def test_the_table_keeps_ids_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 80 columns too an id can be copied; what waits for its trigger is not called open."""
    monkeypatch.setenv("COLUMNS", "80")
    stop = {"type": "stop", "price": None, "trigger_price": "2400.25", "waiting": True}
    common = {"order_id": "281474976715351", "close_reason": None, "filled_quantity": "0"}
    long = {"display_quantity": "0.1", "post_only": True}
    print_table([{**FILLED, **common, **stop}, {**FILLED, **common, **long}])
    shown = capsys.readouterr().out
    assert shown.count("281474976715351") == 2
    assert "waiting" in shown.splitlines()[1]
