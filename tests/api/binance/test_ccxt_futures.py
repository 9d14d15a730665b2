"""ccxt and python-binance, unmodified, drive every futures method against the running exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.binance.clients import ccxt_options
from tests.api.running import PERPETUAL, RunningExchange

pytestmark = pytest.mark.servers
SYMBOL = "ETH/USDT:USDT"
SWAPS = {"options": {"defaultType": "swap", "warnOnFetchOpenOrdersWithoutSymbol": False}}


@pytest.fixture(scope="module")
def rig(running: RunningExchange) -> RunningExchange:
    """Give the running exchange with a perpetual and two customers of this module's own."""
    asyncio.run(running.add_perpetual_customers("fay", "gus"))
    return running


@pytest.fixture(scope="module")
def fay(rig: RunningExchange) -> Any:
    """Give fay's client, with its markets loaded."""
    import ccxt

    client = ccxt.binance(ccxt_options(rig.base_url, rig.accounts["fay"], **SWAPS))
    client.load_markets()
    return client


@pytest.fixture
def mark(fay: Any) -> Iterator[float]:
    """Give a whole price near the mark; what fay leaves in the book is cancelled."""
    yield float(round(fay.fetch_mark_price(SYMBOL)["markPrice"]))
    fay.cancel_all_orders(SYMBOL)


def bought(rig: RunningExchange, fay: Any, mark: float, quantity: float) -> dict[str, Any]:
    """Let fay buy from gus at the market."""
    order = {
        "symbol": PERPETUAL.symbol,
        "side": "sell",
        "price": f"{mark:.0f}",
        "quantity": str(quantity),
    }
    placed = asyncio.run(rig.request("gus", "POST", "/v1/orders", order))
    assert placed.is_success, placed.text
    return dict(fay.create_order(SYMBOL, "market", "buy", quantity))


def test_markets_and_what_everybody_knows(fay: Any) -> None:
    """Both markets of the name are there; books, tickers, candles and funding are read."""
    market = fay.market(SYMBOL)
    assert (market["type"], market["linear"], market["settle"]) == ("swap", True, "USDT")
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.01, 0.001)
    assert fay.market("ETH/USDT")["type"] == "spot"
    assert abs(fay.fetch_time() - fay.milliseconds()) < 60_000
    assert fay.fetch_order_book(SYMBOL)["nonce"] > 0
    assert fay.fetch_ticker(SYMBOL)["symbol"] == SYMBOL
    assert set(fay.fetch_tickers([SYMBOL])) == {SYMBOL}
    assert set(fay.fetch_bids_asks([SYMBOL])) == {SYMBOL}
    assert set(fay.fetch_last_prices([SYMBOL])) == {SYMBOL}
    assert set(fay.fetch_mark_prices([SYMBOL])) == {SYMBOL}
    assert all(len(one) == 6 for one in fay.fetch_ohlcv(SYMBOL, "1m", limit=10))
    assert all(one["symbol"] == SYMBOL for one in fay.fetch_trades(SYMBOL))
    rate = fay.fetch_funding_rate(SYMBOL)
    assert (rate["markPrice"] > 0, rate["interestRate"]) == (True, 0.0001)
    assert set(fay.fetch_funding_rates([SYMBOL])) == {SYMBOL}
    assert fay.fetch_funding_rate_history(SYMBOL) == []
    assert fay.fetch_funding_intervals([SYMBOL])[SYMBOL]["interval"] == "1h"
    assert fay.fetch_open_interest(SYMBOL)["openInterestAmount"] >= 0


def test_orders_rest_and_are_changed(fay: Any, mark: float) -> None:
    """Limit and post-only, by id and by client id; edited, listed and cancelled."""
    low = mark - 50
    first = fay.create_order(SYMBOL, "limit", "buy", 0.1, low, {"clientOrderId": "fay-1"})
    assert (first["status"], first["symbol"], first["clientOrderId"]) == ("open", SYMBOL, "fay-1")
    second = fay.create_order(SYMBOL, "limit", "buy", 0.1, low - 1, {"postOnly": True})
    assert (second["postOnly"], second["timeInForce"]) == (True, "PO")
    assert fay.fetch_order(first["id"], SYMBOL)["price"] == low
    named = fay.fetch_order(None, SYMBOL, {"origClientOrderId": "fay-1"})
    assert named["id"] == fay.fetch_open_order(first["id"], SYMBOL)["id"] == first["id"]
    edited = fay.edit_order(first["id"], SYMBOL, "limit", "buy", 0.2, low - 2)
    assert (edited["id"], edited["amount"], edited["price"]) == (first["id"], 0.2, low - 2)
    listed = fay.fetch_open_orders(SYMBOL)
    assert {one["id"] for one in listed} == {first["id"], second["id"]}
    assert {one["id"] for one in fay.fetch_open_orders()} == {first["id"], second["id"]}
    assert isinstance(fay.fetch_orders(SYMBOL), list)
    assert fay.cancel_order(second["id"], SYMBOL)["status"] == "canceled"
    wanted = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.1}
    made = fay.create_orders([{**wanted, "price": low}, {**wanted, "price": low - 1}])
    assert [one["status"] for one in made] == ["open", "open"]
    ended = fay.cancel_orders([one["id"] for one in made], SYMBOL)
    assert [one["status"] for one in ended] == ["canceled", "canceled"]
    fay.cancel_all_orders(SYMBOL)
    assert fay.fetch_open_orders(SYMBOL) == []


def test_conditional_orders(fay: Any, mark: float) -> None:
    """Each kind waits, is found with `trigger`, and is cancelled with it."""
    cases: list[tuple[str, float | None, dict[str, Any], str]] = [
        ("market", None, {"stopLossPrice": mark + 90}, "STOP_MARKET"),
        ("limit", mark + 91, {"stopLossPrice": mark + 90}, "STOP"),
        ("market", None, {"takeProfitPrice": mark - 90}, "TAKE_PROFIT_MARKET"),
        ("limit", mark - 89, {"takeProfitPrice": mark - 90}, "TAKE_PROFIT"),
        ("market", None, {"trailingPercent": "2"}, "TRAILING_STOP_MARKET"),
    ]
    ids = set()
    for kind, price, more, word in cases:
        terms = {**more, "workingType": "MARK_PRICE"}
        order = fay.create_order(SYMBOL, kind, "buy", 0.1, price, terms)
        found = fay.fetch_order(order["id"], SYMBOL, {"trigger": True})
        assert (found["status"], found["info"]["orderType"]) == ("open", word)
        ids.add(order["id"])
    waiting = fay.fetch_open_orders(SYMBOL, None, None, {"trigger": True})
    assert {one["id"] for one in waiting} == ids
    assert isinstance(fay.fetch_orders(SYMBOL, None, None, {"trigger": True}), list)
    one = waiting[0]
    assert fay.cancel_order(one["id"], SYMBOL, {"trigger": True})["id"] == one["id"]
    fay.cancel_all_orders(SYMBOL, {"trigger": True})
    assert fay.fetch_open_orders(SYMBOL, None, None, {"trigger": True}) == []


def test_a_position_from_its_opening_to_its_end(
    rig: RunningExchange, fay: Any, mark: float
) -> None:
    """A fill makes a position, which every method tells of in the same numbers."""
    before = fay.fetch_balance()["USDT"]["total"]
    order = bought(rig, fay, mark, 0.5)
    assert (order["status"], order["filled"], order["symbol"]) == ("closed", 0.5, SYMBOL)
    (position,) = fay.fetch_positions([SYMBOL])
    assert (position["side"], position["contracts"], position["marginMode"]) == (
        "long",
        0.5,
        "cross",
    )
    assert position["entryPrice"] == order["average"]
    (same,) = fay.fetch_account_positions([SYMBOL])
    assert same["contracts"] == 0.5
    (older,) = fay.fetch_positions_risk([SYMBOL], {"useV2": True})
    assert older["leverage"] == 10
    (rank,) = fay.fetch_positions_adl_rank([SYMBOL])
    assert 0 <= rank["rank"] <= 4
    balance = fay.fetch_balance()["USDT"]
    assert balance["used"] > 0
    assert balance["total"] == pytest.approx(before, abs=100)
    settled = {
        "fills": [{"quantity": "0.5", "price": str(order["average"]), "trade_id": order["id"]}],
        "sequence": int(order["id"]) % 2**40,
        "time_us": order["timestamp"] * 1_000,
        "order_id": order["id"],
    }
    asyncio.run(rig.settle_fill("gus", "fay", settled, PERPETUAL))
    (trade,) = fay.fetch_my_trades(SYMBOL)
    assert (trade["order"], trade["symbol"], trade["takerOrMaker"]) == (
        order["id"],
        SYMBOL,
        "taker",
    )
    fees = [one for one in fay.fetch_ledger("USDT") if one["type"] == "commission"]
    assert [one["direction"] for one in fees] == ["out"]
    assert fay.fetch_funding_history(SYMBOL) == []
    assert fay.fetch_my_liquidations(SYMBOL) == []
    closing = {"reduceOnly": True}
    ask = {"symbol": PERPETUAL.symbol, "side": "buy", "price": f"{mark:.0f}", "quantity": "0.5"}
    assert asyncio.run(rig.request("gus", "POST", "/v1/orders", ask)).is_success
    assert fay.create_order(SYMBOL, "market", "sell", 0.5, None, closing)["filled"] == 0.5
    assert fay.fetch_positions([SYMBOL]) == []


def test_choices_of_margin(rig: RunningExchange, fay: Any, mark: float) -> None:
    """Leverage, mode, isolated margin, brackets and fees."""
    import ccxt

    assert fay.set_leverage(20, SYMBOL)["leverage"] == "20"
    assert fay.fetch_leverage(SYMBOL)["longLeverage"] == 20
    fay.set_margin_mode("isolated", SYMBOL)
    assert fay.set_margin_mode("isolated", SYMBOL)["code"] == -4046
    assert fay.fetch_margin_mode(SYMBOL)["marginMode"] == "isolated"
    assert fay.add_margin(SYMBOL, 100)["status"] == "ok"
    bought(rig, fay, mark, 0.1)
    (position,) = fay.fetch_positions([SYMBOL])
    assert position["marginMode"] == "isolated"
    assert fay.reduce_margin(SYMBOL, 20)["status"] == "ok"
    fay.create_order(SYMBOL, "market", "sell", 0.1, None, {"reduceOnly": True})
    assert fay.fetch_positions([SYMBOL]) == []
    fay.set_margin_mode("cross", SYMBOL)
    tiers = fay.fetch_leverage_tiers([SYMBOL])[SYMBOL]
    assert [one["maxLeverage"] for one in tiers] == [50, 25]
    assert fay.fetch_position_mode(SYMBOL)["hedged"] is False
    with pytest.raises(ccxt.ExchangeError):
        fay.set_position_mode(True, SYMBOL)
    fee = fay.fetch_trading_fee(SYMBOL)
    assert (fee["maker"], fee["taker"]) == (0.0002, 0.0005)


def test_refusals_have_the_clients_own_classes(fay: Any, mark: float) -> None:
    """A bot that handles its client's errors handles ours."""
    import ccxt

    resting = fay.create_order(SYMBOL, "limit", "buy", 0.1, mark - 50, {"clientOrderId": "taken"})

    def order(*terms: Any) -> Any:
        return lambda: fay.create_order(SYMBOL, *terms)

    best = fay.fetch_order_book(SYMBOL)["asks"][0][0]
    cases: list[tuple[type[Exception], Any]] = [
        (ccxt.InsufficientFunds, order("limit", "buy", 900, mark)),
        (ccxt.OrderImmediatelyFillable, order("limit", "buy", 0.1, best, {"postOnly": True})),
        (ccxt.InvalidOrder, order("limit", "buy", 0.1, mark - 60, {"clientOrderId": "taken"})),
        (ccxt.InvalidOrder, order("limit", "buy", 0.1, mark * 2)),
        (ccxt.OrderNotFound, lambda: fay.cancel_order("999", SYMBOL)),
        (ccxt.OrderNotFound, lambda: fay.fetch_order("999", SYMBOL)),
        (ccxt.OrderNotFound, lambda: fay.cancel_order("999", SYMBOL, {"trigger": True})),
        (ccxt.BadSymbol, lambda: fay.fapiPublicGetDepth({"symbol": "NOPE"})),
        (ccxt.BadRequest, lambda: fay.fapiPrivateGetOrder({"symbol": "ETHUSDT"})),
        (ccxt.BadRequest, lambda: fay.set_leverage(100, SYMBOL)),
        (ccxt.InvalidNonce, lambda: fay.fapiPrivateV3GetAccount({"timestamp": 1})),
    ]
    for wanted, call in cases:
        with pytest.raises(wanted):
            call()
    fay.cancel_order(resting["id"], SYMBOL)


async def test_the_asynchronous_client(rig: RunningExchange) -> None:
    """The same library's other face places, changes and cancels."""
    import ccxt.async_support as ccxt

    client = ccxt.binance(ccxt_options(rig.base_url, rig.accounts["gus"], **SWAPS))
    try:
        mark = round((await client.fetch_funding_rate(SYMBOL))["markPrice"])
        order = await client.create_order(SYMBOL, "limit", "buy", 0.1, mark - 60)
        edited = await client.edit_order(order["id"], SYMBOL, "limit", "buy", 0.1, mark - 61)
        assert edited["price"] == mark - 61
        assert (await client.cancel_order(order["id"], SYMBOL))["status"] == "canceled"
        assert isinstance(await client.fetch_positions(), list)
    finally:
        await client.close()


def test_python_binance(rig: RunningExchange, mark: float) -> None:
    """Its futures methods work with one address changed."""
    from binance.client import Client

    addresses = (Client.API_URL, Client.FUTURES_URL)
    Client.API_URL, Client.FUTURES_URL = (
        f"{rig.base_url}/binance/{path}" for path in ("api", "fapi")
    )
    try:
        account = rig.accounts["gus"]
        _python_binance(Client(account.api_key, account.api_secret), str(round(mark) - 70))
    finally:
        Client.API_URL, Client.FUTURES_URL = addresses


def _python_binance(client: Any, low: str) -> None:
    assert client.futures_ping() == {}
    assert client.futures_exchange_info()["symbols"][0]["contractType"] == "PERPETUAL"
    assert client.futures_order_book(symbol="ETHUSDT")["lastUpdateId"] > 0
    assert float(client.futures_mark_price(symbol="ETHUSDT")["markPrice"]) > 0
    assert isinstance(client.futures_klines(symbol="ETHUSDT", interval="1m"), list)
    assert client.futures_symbol_ticker(symbol="ETHUSDT")["symbol"] == "ETHUSDT"
    named = {"symbol": "ETHUSDT"}
    limit = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    assert client.futures_create_test_order(**named, **limit, price=low) == {}
    order = client.futures_create_order(**named, **limit, price=low)
    one = {**named, "orderId": order["orderId"]}
    assert client.futures_get_order(**one)["status"] == "NEW"
    assert len(client.futures_get_open_orders(**named)) == 1
    assert client.futures_modify_order(**one, side="BUY", quantity="0.2", price=low)["origQty"] == (
        "0.2"
    )
    assert client.futures_cancel_order(**one)["status"] == "CANCELED"
    batch = [{**named, **limit, "price": low}]
    (made,) = client.futures_place_batch_order(batchOrders=batch)
    assert made["status"] == "NEW"
    stop = client.futures_create_order(
        **named, side="BUY", type="TAKE_PROFIT_MARKET", stopPrice=low, quantity="0.1",
        workingType="MARK_PRICE",
    )  # fmt: skip
    assert client.futures_get_algo_order(algoId=stop["algoId"])["algoStatus"] == "NEW"
    assert client.futures_cancel_algo_order(algoId=stop["algoId"])["code"] == "200"
    assert client.futures_cancel_all_open_orders(**named)["code"] == 200
    assert client.futures_countdown_cancel_all(**named, countdownTime=0)["countdownTime"] == "0"
    assert float(client.futures_account()["totalWalletBalance"]) > 0
    assert client.futures_account_balance()[0]["asset"] == "USDT"
    assert isinstance(client.futures_position_information(), list)
    assert client.futures_change_leverage(**named, leverage=5)["leverage"] == 5
    assert client.futures_get_position_mode() == {"dualSidePosition": False}
    assert isinstance(client.futures_account_trades(**named), list)
    assert isinstance(client.futures_income_history(), list)
    assert client.futures_leverage_bracket()[0]["symbol"] == "ETHUSDT"
