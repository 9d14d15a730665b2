"""freqtrade, in an environment of its own, opens a position in its dry run against the exchange."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.binance.clients import ccxt_options
from tests.api.running import RunningExchange

pytestmark = [pytest.mark.servers, pytest.mark.long]
VERSION = "2026.9"
STRATEGY = """
from freqtrade.strategy import IStrategy


class AlwaysLong(IStrategy):
    timeframe = "1m"
    stoploss = -0.5
    minimal_roi = {"0": 10}
    startup_candle_count = 0

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe
"""


def config(rig: RunningExchange) -> dict[str, Any]:
    """Return what a user writes into his configuration, as the documentation tells him."""
    settings = ccxt_options(rig.base_url)
    pricing = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
    return {
        "dry_run": True,
        "dry_run_wallet": 10_000,
        "trading_mode": "futures",
        "margin_mode": "isolated",
        "stake_currency": "USDT",
        "stake_amount": 100,
        "max_open_trades": 1,
        "timeframe": "1m",
        "strategy": "AlwaysLong",
        "entry_pricing": pricing,
        "exit_pricing": pricing,
        "pairlists": [{"method": "StaticPairList"}],
        "exchange": {
            "name": "binance",
            "key": "",
            "secret": "",
            "enable_ws": False,
            "ccxt_config": settings,
            "pair_whitelist": ["ETH/USDT:USDT"],
            "pair_blacklist": [],
        },
        "internals": {"process_throttle_secs": 2, "heartbeat_interval": 2},
        "initial_state": "running",
    }


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give freqtrade's program, installed for this test alone."""
    folder = tmp_path_factory.mktemp("freqtrade") / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    wanted = ["install", "--quiet", f"freqtrade=={VERSION}"]
    subprocess.run([str(folder / "bin/python"), "-m", "pip", *wanted], check=True)
    return folder / "bin/freqtrade"


async def trade_once(rig: RunningExchange) -> None:
    """Let two customers trade at the mark, so that the newest minute has a candle."""
    await rig.open_position("hal", "ivy", "0.01")


def test_it_trades_in_its_dry_run(running: RunningExchange, program: Path, tmp_path: Path) -> None:
    """It loads the market, reads candles and book, and enters; no error stands in its log."""
    asyncio.run(running.add_perpetual_customers("hal", "ivy"))
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies/always_long.py").write_text(STRATEGY)
    (tmp_path / "config.json").write_text(json.dumps(config(running)))
    log = tmp_path / "freqtrade.log"
    arguments = ["trade", "--config", str(tmp_path / "config.json"), "--userdir", str(tmp_path)]
    arguments += ["--db-url", "sqlite://", "--no-color"]
    with log.open("wb") as output:
        bot = subprocess.Popen(
            [str(program), *arguments], cwd=tmp_path, stdout=output, stderr=output, env=os.environ
        )
    try:
        deadline = time.monotonic() + 240
        while "has been fulfilled for" not in log.read_text():
            assert bot.poll() is None, log.read_text()[-4_000:]
            assert time.monotonic() < deadline, log.read_text()[-4_000:]
            asyncio.run(trade_once(running))
            time.sleep(1)
    finally:
        bot.terminate()
        bot.wait(30)
    told = log.read_text()
    assert "Long signal found" in told
    assert " - ERROR - " not in told, told[-4_000:]
