"""Frames of `rialto top`: what is there, what is not, and what is too much for the terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rich.console import Console

from workers.officer_desk import OpenWork
from workers.top_view import TopState, frame

MARKETS = {
    "ETH/USDT": {"tick_size": "0.01", "lot_size": "0.0001"},
    "BTC/USDT": {"tick_size": "0.1", "lot_size": "0.00001"},
}
SYSTEM: dict[str, Any] = {
    "healthy": True,
    "page": "http://127.0.0.1:8000",
    "gateways": ["http://127.0.0.1:8000", "http://127.0.0.1:8001"],
    "attention": [],
    "shards": [{"shard": 0, "mode": "normal", "sequence": 7, "settlement_lag": 3}],
    "components": [
        {"name": "Matching engine", "health": "ok", "sequence": 7, "lag": 0},
        {"name": "Liquidation service", "health": "down", "sequence": None, "lag": None},
    ],
    "processes": [
        {"name": "gateway", "state": "running", "restarts": 0},
        {"name": "market-data-0", "state": "silent", "restarts": 2},
    ],
}
STATE = TopState(
    symbol="ETH/USDT",
    markets=MARKETS,
    account="alice",
    system=SYSTEM,
    book={"asks": [["2500.5", "4"], ["2501", "1"]], "bids": [["2500", "2"]]},
    trades=[{"price": "2500", "quantity": "0.1", "side": "sell", "time_us": 3_723_000_000}],
)


def _drawn(state: TopState, width: int = 140, height: int = 40) -> list[str]:
    console = Console(width=width, height=height)
    with console.capture() as capture:
        console.print(frame(state, height))
    return capture.get().splitlines()


def test_prices_stand_on_the_grid_and_asks_above_bids() -> None:
    """As many decimals as tick and lot have, the deepest level with the longest bar."""
    lines = [line for line in _drawn(STATE) if "25" in line or "±" in line]
    prices = [line.split()[1] for line in lines if "±" not in line][:3]
    assert prices == ["2501.00", "2500.50", "2500.00"]
    text = "\n".join(lines)
    assert "4.0000 ████████████" in text
    assert "1.0000 ███ " in text
    assert "± 0.5" in text
    assert "01:02:03" in text
    assert "http://127.0.0.1:8000 http://127.0.0.1:8001 " in _drawn(STATE)[0]


def test_empty_exchange_says_so() -> None:
    """A first run has no quotes, trades, orders or waiting workflows: each panel says that."""
    text = "\n".join(_drawn(replace(STATE, book={}, trades=())))
    for words in ("nobody quotes", "no trade yet", "no open orders", "nothing waits"):
        assert words in text


def test_trouble_is_named() -> None:
    """An engine in cancel-only, a silent process, a gateway that is away: all on the screen."""
    shard = {"shard": 0, "mode": "cancel_only", "sequence": 9, "settlement_lag": None}
    system = {**SYSTEM, "healthy": False, "shards": [shard], "attention": ["1 parked"]}
    lines = _drawn(replace(STATE, system=system, trouble=("no book: refused",)))
    assert "not healthy" in lines[0]
    assert "cancel_only" in lines[0]
    assert "no book: refused; 1 parked" in lines[1]
    process = next(line for line in lines if "market-data-0" in line)
    assert ("silent" in process, "2 restarts" in process) == (True, True)


def test_stopped_exchange_has_a_frame_too() -> None:
    """Without any answer the frame is drawn, and says how to start."""
    stopped = TopState("", {}, "alice", {"attention": ["the exchange has stopped"]})
    lines = _drawn(stopped)
    assert "not healthy" in lines[0]
    assert "the exchange has stopped" in lines[1]


def test_own_orders_and_parked_work() -> None:
    """What is open of an order, and a stage that wants people."""
    order = {
        "symbol": "BTC/USDT", "side": "buy", "type": "stop", "price": None,
        "trigger_price": "61000", "quantity": "1.50", "filled_quantity": "0.25",
    }  # fmt: skip
    work = OpenWork(
        "withdrawal-7", "WithdrawalWorkflow", "failed:nonce", "2", "ETH", "5", None, "", True
    )
    text = "\n".join(_drawn(replace(STATE, orders=[order], work=[work])))
    assert "61000" in text
    assert "1.25" in text
    assert "failed:nonce (paused)" in text
    assert "withdrawal-7" in text


def test_a_perpetual_has_its_numbers_and_positions() -> None:
    """Mark, funding with its countdown, the fund, who was liquidated, and what is endangered."""
    position = {
        "symbol": "ETH/USDT-PERP", "quantity": "-2.5", "unrealised_profit": "-25",
        "liquidation_price": "2550.5", "adl_lights": 2, "margin_call": True, "liquidating": False,
    }  # fmt: skip
    step = {
        "how": "takeover", "side": "long", "quantity": "1.5", "price": "2401",
        "time_us": 3_723_000_000,
    }  # fmt: skip
    funding = {
        "state": "reduce_only", "mark_price": "2500", "index_price": None, "mark_is_fresh": False,
        "last_rate_ppm": -50, "last_funding_us": 1, "seconds_left": 3_723, "open_interest": "12.5",
    }  # fmt: skip
    perpetual = replace(
        STATE,
        positions=[position],
        funding=funding,
        liquidations=[step],
        fund={"cash": "1234.5", "asset": "USDT"},
    )
    text = "\n".join(_drawn(perpetual, width=170))
    for part in (
        "ETH/USDT, reduce-only",
        "2500.00 (stale)",
        "-0.0050 %",
        "01:02:03",
        "1234.5 USDT",
    ):
        assert part in text
    for part in ("-2.5", "2550.5", "●●○○○", "long takeover", "1.5000", "2401.00"):
        assert part in text
    quiet = replace(perpetual, liquidations=(), funding={**funding, "last_funding_us": 0})
    text = "\n".join(_drawn(quiet, width=170))
    assert ("no liquidations" in text, "none yet" in text) == (True, True)
    assert "reduce-only" not in "\n".join(_drawn(STATE))


def test_a_long_name_leaves_room_for_stage_and_amount() -> None:
    """A deposit's id is as long as a transaction's hash."""
    work = [
        OpenWork(name, "Workflow", stage, "2", asset, amount, None, "", False)
        for name, stage, amount, asset in (
            (f"deposit-ETH-0x{'147f8c90' * 8}-0", "confirming", "500", "USDT"),
            ("withdrawal-7", "failed:nonce", "5", "ETH"),
        )
    ]
    text = "\n".join(_drawn(replace(STATE, work=work)))
    for part in ("confirming", "500 USDT", "failed:nonce", "5 ETH", "deposit-ETH-0x1"):
        assert part in text


def test_a_small_terminal_keeps_the_touch() -> None:
    """With few lines the best levels stay and the far ones go."""
    book = {"asks": [[f"{2501 + n}", "1"] for n in range(30)], "bids": [["2500", "1"]] * 30}
    lines = _drawn(replace(STATE, book=book), height=24)
    assert len(lines) <= 24
    text = "\n".join(lines)
    assert "2501.00" in text
    assert "2520.00" not in text
