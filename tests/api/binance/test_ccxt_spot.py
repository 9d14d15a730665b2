"""ccxt, unmodified, drives every spot method against the running exchange."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.client.account import ApiAccount
from tests.api.binance.clients import ccxt_example, ccxt_options
from tests.api.memory import ETH, USDT
from tests.api.running import RunningExchange
from tests.forks import ROOT

pytestmark = pytest.mark.servers
SYMBOL = "ETH/USDT"
PAYABLE = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.fixture(scope="module")
def rig(running: RunningExchange) -> RunningExchange:
    """Give the running exchange with two customers of this module's own."""

    async def fund() -> None:
        for name in ("carol", "dave"):
            await running.add_customer(name)
            await running.credit(name, USDT, "100000")
            await running.credit(name, ETH, "100")

    asyncio.run(fund())
    return running


@pytest.fixture(scope="module")
def carol(rig: RunningExchange) -> Any:
    """Give carol's client: the synchronous one, with its markets loaded."""
    import ccxt

    client = ccxt.binance(ccxt_options(rig.base_url, rig.accounts["carol"]))
    client.load_markets()
    return client


@pytest.fixture
def dave(rig: RunningExchange, carol: Any) -> Iterator[Any]:
    """Give dave's client; what he leaves in the book is cancelled."""
    import ccxt

    client = ccxt.binance(ccxt_options(rig.base_url, rig.accounts["dave"]))
    client.set_markets(carol.markets, carol.currencies)
    yield client
    for one in client.fetch_open_orders(SYMBOL):
        client.cancel_order(one["id"], SYMBOL)


def test_markets_and_time(carol: Any) -> None:
    """A client with default options loads spot and futures markets, currencies and the clock."""
    market = carol.market(SYMBOL)
    assert (market["type"], market["precision"]["price"]) == ("spot", 0.01)
    assert market["limits"]["amount"]["max"] == 1000
    assert abs(carol.fetch_time() - carol.milliseconds()) < 60_000
    assert carol.fetch_status()["status"] == "ok"
    assert set(carol.fetch_currencies()) == {"ETH", "USDT"}


def test_an_order_is_placed_found_and_cancelled(carol: Any) -> None:
    """Limit and post-only, by id and by client id, listed and cancelled one by one and all."""
    first = carol.create_order(SYMBOL, "limit", "buy", 0.1, 2400, {"clientOrderId": "carol-1"})
    assert (first["status"], first["clientOrderId"]) == ("open", "carol-1")
    second = carol.create_order(SYMBOL, "limit", "buy", 0.1, 2399, {"postOnly": True})
    assert carol.fetch_order(first["id"], SYMBOL)["price"] == 2400
    named = carol.fetch_order(None, SYMBOL, {"origClientOrderId": "carol-1"})
    assert named["id"] == first["id"]
    assert {one["id"] for one in carol.fetch_open_orders(SYMBOL)} == {first["id"], second["id"]}
    assert carol.fetch_order_book(SYMBOL)["bids"][0][0] == 2400
    edited = carol.edit_order(first["id"], SYMBOL, "limit", "buy", 0.2, 2401)
    assert (edited["amount"], edited["price"]) == (0.2, 2401)
    assert carol.cancel_order(second["id"], SYMBOL)["status"] == "canceled"
    assert [one["id"] for one in carol.cancel_all_orders(SYMBOL)] == [edited["id"]]


def test_stops_wait(carol: Any) -> None:
    """A stop and a take-profit rest outside the book, and are cancelled as others are."""
    for kind, more in (
        ("limit", {"stopLossPrice": 2200}),
        ("limit", {"takeProfitPrice": 2700}),
        ("market", {"stopLossPrice": 2200}),
    ):
        price = next(iter(more.values())) if kind == "limit" else None
        order = carol.create_order(SYMBOL, kind, "sell", 0.1, price, more)
        found = carol.fetch_order(order["id"], SYMBOL)
        assert (found["status"], found["triggerPrice"]) == ("open", next(iter(more.values())))
    assert len(carol.cancel_all_orders(SYMBOL)) == 3


def test_fills_and_what_they_cost(rig: RunningExchange, carol: Any, dave: Any) -> None:
    """A taker's fill is in the answer; balances, trades and tickers follow."""
    before = carol.fetch_balance()["ETH"]["free"]
    dave.create_order(SYMBOL, "limit", "sell", 0.5, 2450)
    bought = carol.create_order(SYMBOL, "market", "buy", 0.2)
    assert (bought["status"], bought["filled"], bought["average"]) == ("closed", 0.2, 2450)
    assert bought["trades"][0]["fee"]["currency"] == "USDT"
    assert carol.fetch_balance()["ETH"]["free"] == pytest.approx(before + 0.2)
    spent = carol.create_order(SYMBOL, "market", "buy", 0, None, {"cost": 245})
    assert spent["cost"] <= 245
    _until(lambda: [one["price"] for one in carol.fetch_trades(SYMBOL)[-1:]] == [2450])
    _until(lambda: carol.fetch_ticker(SYMBOL)["last"] == 2450)
    _until(lambda: carol.fetch_tickers([SYMBOL])[SYMBOL]["ask"] == 2450)
    _until(lambda: carol.fetch_bids_asks([SYMBOL])[SYMBOL]["ask"] == 2450)
    _until(lambda: carol.fetch_last_prices([SYMBOL])[SYMBOL]["price"] == 2450)
    asyncio.run(rig.settle_fill("dave", "carol", _as_native(bought)))
    assert carol.fetch_my_trades(SYMBOL)[-1]["order"] == bought["id"]
    assert carol.fetch_trading_fees()[SYMBOL]["maker"] == 0.001
    for method in (carol.fetch_orders, carol.fetch_closed_orders):
        assert isinstance(method(SYMBOL), list)


def test_the_wallet(rig: RunningExchange, dave: Any) -> None:
    """Where deposits go and what has come; withdrawals to listed addresses; no move in one pot."""
    import ccxt

    assert dave.fetch_deposit_address("ETH")["address"].startswith("0x")
    asyncio.run(rig.book_deposit("dave", USDT, 25_000_000))
    (deposit,) = dave.fetch_deposits("USDT")
    assert (deposit["amount"], deposit["status"], deposit["currency"]) == (25, "ok", "USDT")
    with pytest.raises(ccxt.BadRequest):
        dave.withdraw("USDT", 20, PAYABLE)
    listing = {"address": PAYABLE}
    assert asyncio.run(rig.request("dave", "POST", "/v1/withdrawal-addresses", listing)).is_success
    made = dave.withdraw("USDT", 20, PAYABLE)
    (found,) = dave.fetch_withdrawals("USDT")
    assert (found["id"], found["status"], found["address"]) == (made["id"], "pending", PAYABLE)
    with pytest.raises(ccxt.BadRequest, match="more than may be withdrawn now"):
        dave.withdraw("USDT", 90_000, PAYABLE)
    with pytest.raises(ccxt.ExchangeError):
        dave.transfer("USDT", 1, "spot", "swap")


def test_an_order_list_and_an_ed25519_key(rig: RunningExchange, carol: Any) -> None:
    """The secret is the PEM of a private key; an OCO goes by the client's own names of routes."""
    import ccxt

    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    wanted = {"label": "ed", "scopes": ["read", "trade"], "public_key": public}
    made = asyncio.run(rig.request("carol", "POST", "/v1/keys", wanted)).json()
    account = ApiAccount("carol", made["key_id"], pem)
    client = ccxt.binance(ccxt_options(rig.base_url, account))
    client.set_markets(carol.markets, carol.currencies)
    oco = {"symbol": "ETHUSDT", "side": "SELL", "quantity": "0.1", "aboveType": "LIMIT_MAKER"}
    stop = {"abovePrice": "2700", "belowType": "STOP_LOSS", "belowStopPrice": "2300"}
    listed = client.privatePostOrderListOco(oco | stop)
    (one,) = client.privateGetOpenOrderList()
    assert one["orderListId"] == listed["orderListId"]
    assert {order["id"] for order in client.fetch_open_orders(SYMBOL)} == {
        order["orderId"] for order in listed["orders"]
    }
    named = {"symbol": "ETHUSDT", "orderListId": listed["orderListId"]}
    assert client.privateDeleteOrderList(named)["listOrderStatus"] == "ALL_DONE"


def _until(told: Callable[[], bool]) -> None:
    """Wait for what another process tells: the market data follows the engine."""
    deadline = time.monotonic() + 30
    while not told():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _as_native(order: dict[str, Any]) -> dict[str, Any]:
    fill = order["info"]["fills"][0]
    return {
        "fills": [{"quantity": fill["qty"], "price": fill["price"], "trade_id": fill["tradeId"]}],
        "sequence": int(fill["tradeId"]),
        "time_us": order["timestamp"] * 1_000,
        "order_id": order["id"],
    }


def test_candles(carol: Any) -> None:
    """Candles come in the client's intervals; an interval that is not kept is refused."""
    import ccxt

    for interval in ("1m", "15m", "1h", "1d"):
        assert all(len(one) == 6 for one in carol.fetch_ohlcv(SYMBOL, interval, limit=10))
    with pytest.raises(ccxt.BadRequest):
        carol.fetch_ohlcv(SYMBOL, "1M")


def test_refusals_have_the_clients_own_classes(carol: Any) -> None:
    """A bot that handles its client's errors handles ours."""
    import ccxt

    resting = carol.create_order(SYMBOL, "limit", "sell", 0.1, 2460, {"clientOrderId": "taken"})
    cases: list[tuple[type[Exception], Any]] = [
        (ccxt.InsufficientFunds, lambda: carol.create_order(SYMBOL, "limit", "sell", 900, 2460)),
        (
            ccxt.OrderImmediatelyFillable,
            lambda: carol.create_order(SYMBOL, "limit", "buy", 0.1, 2460, {"postOnly": True}),
        ),
        (
            ccxt.InvalidOrder,
            lambda: carol.create_order(
                SYMBOL, "limit", "buy", 0.1, 2300, {"clientOrderId": "taken"}
            ),
        ),
        (ccxt.InvalidOrder, lambda: carol.create_order(SYMBOL, "limit", "buy", 0.1, 4000)),
        (ccxt.OrderNotFound, lambda: carol.cancel_order("999", SYMBOL)),
        (ccxt.OrderNotFound, lambda: carol.fetch_order("999", SYMBOL)),
        (ccxt.BadSymbol, lambda: carol.publicGetDepth({"symbol": "NOPE"})),
        (ccxt.BadRequest, lambda: carol.privateGetOrder({"symbol": "ETHUSDT"})),
        (ccxt.InvalidNonce, lambda: carol.privateGetAccount({"timestamp": 1})),
    ]
    for wanted, call in cases:
        with pytest.raises(wanted):
            call()
    carol.cancel_order(resting["id"], SYMBOL)
    stranger = ccxt.binance({**ccxt_options(carol.urls["api"]["public"].split("/binance")[0])})
    stranger.apiKey, stranger.secret = carol.apiKey, "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        stranger.fetch_balance()


def test_the_documented_snippets(rig: RunningExchange) -> None:
    """What the page shows for ccxt and python-binance works as it stands."""
    from binance.client import Client

    account = rig.accounts["carol"]
    before = (Client.API_URL, Client.MARGIN_API_URL)
    names: dict[str, Any] = {
        "BASE": rig.base_url,
        "WS": rig.base_url.replace("http", "ws", 1),
        "KEY": account.api_key,
        "SECRET": account.api_secret,
    }
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "docs/binance.md").read_text(), re.S)
    try:
        for snippet in snippets:
            exec(snippet, names)
        _python_binance(names["client"])
    finally:
        Client.API_URL, Client.MARGIN_API_URL = before
    assert len(snippets) == 3
    mine = {"baseUrl": rig.base_url, "apiKey": account.api_key, "secret": account.api_secret}
    example = ccxt_example().Rialto(mine)
    order = example.create_order(SYMBOL, "limit", "buy", 0.1, 2300)
    assert example.cancel_order(order["id"], SYMBOL)["status"] == "canceled"
    wanted = ccxt_options(rig.base_url)["urls"]["api"]
    assert names["urls"] == {name: wanted[name] for name in names["urls"]}


def _python_binance(client: Any) -> None:
    """Drive python-binance through what its users call most."""
    assert client.ping() == {}
    assert client.get_symbol_info("ETHUSDT")["status"] == "TRADING"
    assert client.get_order_book(symbol="ETHUSDT")["lastUpdateId"] > 0
    assert client.get_symbol_ticker(symbol="ETHUSDT")["symbol"] == "ETHUSDT"
    assert client.get_orderbook_ticker(symbol="ETHUSDT")["symbol"] == "ETHUSDT"
    assert client.get_avg_price(symbol="ETHUSDT")["mins"] == 5
    assert isinstance(client.get_klines(symbol="ETHUSDT", interval="1m"), list)
    assert isinstance(client.get_recent_trades(symbol="ETHUSDT"), list)
    assert float(client.get_asset_balance("USDT")["free"]) > 0
    wanted = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    assert client.create_test_order(**wanted, quantity="0.1", price="2300") == {}
    order = client.create_order(**wanted, quantity="0.1", price="2300")
    assert client.get_order(symbol="ETHUSDT", orderId=order["orderId"])["status"] == "NEW"
    assert len(client.get_open_orders(symbol="ETHUSDT")) == 1
    client.cancel_order(symbol="ETHUSDT", orderId=order["orderId"])
    oco = client.create_oco_order(
        symbol="ETHUSDT", side="SELL", quantity="0.1",
        aboveType="LIMIT_MAKER", abovePrice="2700", belowType="STOP_LOSS", belowStopPrice="2300",
    )  # fmt: skip
    (open_list,) = client.get_open_oco_orders()
    assert open_list["listClientOrderId"] == oco["listClientOrderId"]
    ended = client.v3_delete_order_list(
        symbol="ETHUSDT", listClientOrderId=oco["listClientOrderId"]
    )
    assert ended["orderListId"] == oco["orderListId"]
    assert client.get_trade_fee(symbol="ETHUSDT")[0]["makerCommission"] == "0.001"
    assert client.get_deposit_address("ETH")["address"].startswith("0x")
    assert client.get_deposit_history() == []
    assert client.get_withdraw_history() == []


async def test_the_asynchronous_client(rig: RunningExchange) -> None:
    """The same library's other face places and cancels."""
    import ccxt.async_support as ccxt

    client = ccxt.binance(ccxt_options(rig.base_url, rig.accounts["carol"]))
    try:
        order = await client.create_order(SYMBOL, "limit", "buy", 0.1, 2300)
        assert (await client.cancel_order(order["id"], SYMBOL))["status"] == "canceled"
        assert (await client.fetch_trading_fee(SYMBOL))["maker"] == 0.001
    finally:
        await client.close()
