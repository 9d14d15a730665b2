"""Perpetuals in the dialect, against the small exchange: orders, answers, refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio

from domain.order import Side
from tests.api.binance.clients import ask
from tests.api.memory import ALICE, BOB
from tests.api.perpetual_exchange import MIDDLE, PerpetualExchange

V1 = "/fapi/v1"
ORDER: dict[str, Any] = {
    "symbol": "ETHUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "2450",
}
STOP = {"symbol": "ETHUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "1"}
SPOT_MEMBERS = {"isWorking", "M", "isMaker", "orderListId", "isIsolated", "cummulativeQuoteQty"}


@pytest_asyncio.fixture
async def perps() -> AsyncIterator[PerpetualExchange]:
    """Give an exchange whose perpetual trades, with the first customer at tenfold leverage."""
    made = PerpetualExchange()
    chosen = await ask(made, "POST", f"{V1}/leverage", symbol="ETHUSDT", leverage=10)
    assert chosen.json() == {"symbol": "ETHUSDT", "leverage": 10, "maxNotionalValue": "10000000"}
    yield made
    await made.http.aclose()


async def told(perps: PerpetualExchange, method: str, path: str, **fields: Any) -> Any:
    """Return the answer of a signed request that succeeds."""
    answer = await ask(perps, method, f"{V1}/{path}", **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def placed(perps: PerpetualExchange, **fields: Any) -> dict[str, Any]:
    return dict(await told(perps, "POST", "order", **{**ORDER, **fields}))


async def test_an_order_from_its_placing_to_its_end(perps: PerpetualExchange) -> None:
    """Placed, found, amended, cancelled: the same order, and never a member of a spot order."""
    made = await placed(perps, newClientOrderId="mine")
    assert (made["status"], made["type"], made["positionSide"]) == ("NEW", "LIMIT", "BOTH")
    assert (made["cumQuote"], made["avgPrice"], made["reduceOnly"]) == ("0", "0", False)
    assert SPOT_MEMBERS.isdisjoint(made)
    for name in ({"orderId": made["orderId"]}, {"origClientOrderId": "mine"}):
        for path in ("order", "openOrder"):
            found = await told(perps, "GET", path, symbol="ETHUSDT", **name)
            assert found["orderId"] == made["orderId"]
    change = {"symbol": "ETHUSDT", "side": "BUY", "orderId": made["orderId"]}
    amended = await told(perps, "PUT", "order", **change, quantity="2", price="2440")
    assert (amended["orderId"], amended["origQty"], amended["price"]) == (
        made["orderId"],
        "2",
        "2440",
    )
    wrong = await ask(perps, "PUT", f"{V1}/order", **{**change, "side": "SELL"}, quantity="2")
    assert wrong.json()["code"] == -1117
    ended = await told(perps, "DELETE", "order", symbol="ETHUSDT", orderId=made["orderId"])
    assert (ended["status"], ended["orderId"]) == ("CANCELED", made["orderId"])
    again = await ask(perps, "DELETE", f"{V1}/order", symbol="ETHUSDT", orderId=made["orderId"])
    assert again.json() == {"code": -2011, "msg": "Unknown order sent."}
    closed = await ask(perps, "GET", f"{V1}/openOrder", symbol="ETHUSDT", orderId=made["orderId"])
    assert closed.json()["code"] == -2013


async def test_a_spot_order_is_not_a_perpetuals(perps: PerpetualExchange) -> None:
    """Both markets are called ETHUSDT: an id of one names nothing in the other."""
    spot = await ask(perps, "POST", "/api/v3/order", **{**ORDER, "quantity": "0.1"})
    name = {"symbol": "ETHUSDT", "orderId": spot.json()["orderId"]}
    for method in ("GET", "DELETE"):
        answer = await ask(perps, method, f"{V1}/order", **name)
        assert answer.status_code == 400, answer.text
    algo = await ask(perps, "DELETE", f"{V1}/algoOrder", algoId=spot.json()["orderId"])
    assert algo.json()["code"] == -2011
    assert await told(perps, "GET", "openOrders") == []
    assert len((await ask(perps, "GET", "/api/v3/openOrders")).json()) == 1
    await told(perps, "DELETE", "allOpenOrders", symbol="ETHUSDT")
    assert len((await ask(perps, "GET", "/api/v3/openOrders")).json()) == 1


async def test_a_fill_and_the_position_that_it_makes(perps: PerpetualExchange) -> None:
    """A market order is filled; the answers about the position agree with each other."""
    made = await placed(perps, type="MARKET", price="", timeInForce="", quantity="10")
    assert (made["status"], made["executedQty"], made["avgPrice"]) == ("FILLED", "10", "2500.2")
    assert made["cumQuote"] == "25002"
    (risk,) = (await ask(perps, "GET", "/fapi/v3/positionRisk")).json()
    assert (risk["positionAmt"], risk["entryPrice"], risk["positionSide"]) == (
        "10",
        "2500.2",
        "BOTH",
    )
    mark = risk["markPrice"]
    assert risk["notional"] == str(float(mark) * 10).removesuffix(".0")
    assert (risk["isolatedMargin"], risk["openOrderInitialMargin"]) == ("0", "0")
    (older,) = (await ask(perps, "GET", "/fapi/v2/positionRisk", symbol="ETHUSDT")).json()
    assert {**older, "updateTime": 0} == {**risk, "updateTime": 0} | {
        "leverage": "10",
        "maxNotionalValue": "10000000",
        "marginType": "cross",
        "isAutoAddMargin": "false",
        "isolated": False,
        "adlQuantile": 0,
    }
    account = (await ask(perps, "GET", "/fapi/v3/account")).json()
    (asset,) = account["assets"]
    (position,) = account["positions"]
    assert asset["walletBalance"] == account["totalWalletBalance"] == "9987.499"  # less the fee
    assert asset["initialMargin"] == position["initialMargin"] == risk["initialMargin"]
    assert asset["unrealizedProfit"] == position["unrealizedProfit"] == risk["unRealizedProfit"]
    assert asset["updateTime"] > 0
    (balance,) = (await ask(perps, "GET", "/fapi/v2/balance")).json()
    assert (balance["balance"], balance["availableBalance"]) == (
        asset["walletBalance"],
        asset["availableBalance"],
    )
    perps.memory.lights[ALICE, 7] = 5
    (nearness,) = await told(perps, "GET", "adlQuantile")
    assert nearness["adlQuantile"] == {"LONG": 0, "SHORT": 0, "BOTH": 4}


async def test_orders_weigh_on_the_account_not_on_a_position(perps: PerpetualExchange) -> None:
    """The margin of open orders is the account's; the older answers list every market."""
    await placed(perps)
    account = (await ask(perps, "GET", "/fapi/v2/account")).json()
    assert account["totalOpenOrderInitialMargin"] == account["totalInitialMargin"]
    assert float(account["totalOpenOrderInitialMargin"]) > 0
    assert (account["canTrade"], account["feeTier"], account["multiAssetsMargin"]) == (
        True,
        0,
        False,
    )
    (position,) = account["positions"]
    assert (position["leverage"], position["positionAmt"], position["isolated"]) == (
        "10",
        "0",
        False,
    )
    assert (await ask(perps, "GET", "/fapi/v3/account")).json()["positions"] == []
    assert (await ask(perps, "GET", "/fapi/v3/positionRisk")).json() == []


async def test_isolated_margin(perps: PerpetualExchange) -> None:
    """A mode is chosen once; the position's cash moves in and out, once a signed request."""
    mode: dict[str, Any] = {"symbol": "ETHUSDT", "marginType": "ISOLATED"}
    assert await told(perps, "POST", "marginType", **mode) == {"code": 200, "msg": "success"}
    same = await ask(perps, "POST", f"{V1}/marginType", **mode)
    assert same.json() == {"code": -4046, "msg": "No need to change margin type."}
    perps.clock_ms = perps.door.time_us // 1_000  # a move's own time is held against the engine's
    move: dict[str, Any] = {"symbol": "ETHUSDT", "type": 1, "amount": "300"}
    await told(perps, "POST", "positionMargin", **move)
    await placed(perps, type="MARKET", quantity="1")
    perps.clock_ms = perps.door.time_us // 1_000
    (before,) = (await ask(perps, "GET", "/fapi/v3/positionRisk")).json()
    move["amount"] = "50"
    done = await told(perps, "POST", "positionMargin", **move)
    assert (done["code"], done["type"]) == (200, 1)
    (after,) = (await ask(perps, "GET", "/fapi/v3/positionRisk")).json()
    assert float(after["isolatedWallet"]) == float(before["isolatedWallet"]) + 50
    assert (await told(perps, "GET", "symbolConfig"))[0]["marginType"] == "ISOLATED"
    switched = await ask(perps, "POST", f"{V1}/marginType", **{**mode, "marginType": "CROSSED"})
    assert switched.json()["code"] == -4048
    wrongs: tuple[dict[str, Any], ...] = ({"type": 3}, {"amount": ""}, {"positionSide": "LONG"})
    for fields in wrongs:
        wrong = await ask(perps, "POST", f"{V1}/positionMargin", **{**move, **fields})
        assert wrong.status_code == 400, wrong.text


async def test_conditional_orders_by_both_routes(perps: PerpetualExchange) -> None:
    """One order with one id: it waits among the algo orders, and is found by either route."""
    await placed(perps, type="MARKET", quantity="2")
    algo = await told(
        perps, "POST", "algoOrder", **STOP, algoType="CONDITIONAL", triggerPrice="2400",
        clientAlgoId="s1", workingType="MARK_PRICE", reduceOnly="true",
    )  # fmt: skip
    assert (algo["algoStatus"], algo["orderType"], algo["triggerPrice"]) == (
        "NEW",
        "STOP_MARKET",
        "2400",
    )
    assert (algo["workingType"], algo["actualOrderId"], algo["reduceOnly"]) == (
        "MARK_PRICE",
        "",
        True,
    )
    other = await placed(
        perps, side="SELL", type="TAKE_PROFIT", stopPrice="2600", price="2599", quantity="1"
    )
    assert (other["status"], other["type"], other["stopPrice"]) == ("NEW", "TAKE_PROFIT", "2600")
    assert await told(perps, "GET", "openOrders") == []
    waiting = await told(perps, "GET", "openAlgoOrders", symbol="ETHUSDT")
    assert [one["algoId"] for one in waiting] == [algo["algoId"], other["orderId"]]
    by_id = await told(perps, "GET", "algoOrder", algoId=algo["algoId"])
    by_name = await told(perps, "GET", "algoOrder", clientAlgoId="s1")
    assert by_id == by_name
    same = await told(perps, "GET", "order", symbol="ETHUSDT", orderId=algo["algoId"])
    assert (same["type"], same["workingType"]) == ("STOP_MARKET", "MARK_PRICE")
    ended = await told(perps, "DELETE", "algoOrder", algoId=algo["algoId"])
    assert (ended["algoId"], ended["code"]) == (algo["algoId"], "200")
    assert (await told(perps, "DELETE", "algoOpenOrders", symbol="ETHUSDT"))["code"] == 200
    assert await told(perps, "GET", "openAlgoOrders") == []
    perps.follow()
    past = await told(perps, "GET", "allAlgoOrders", symbol="ETHUSDT")
    assert [one["algoStatus"] for one in past] == ["CANCELED", "CANCELED"]


async def test_a_stop_that_was_set_off(perps: PerpetualExchange) -> None:
    """It is then one of the orders, under the id that it had."""
    await placed(perps, type="MARKET", quantity="2")
    algo = await told(
        perps, "POST", "algoOrder", **STOP, algoType="CONDITIONAL", triggerPrice="2480",
        workingType="MARK_PRICE",
    )  # fmt: skip
    perps.limit(BOB, Side.BUY, MIDDLE - 4_000, 2_000)  # whom the stop sells to, at the latest
    perps.move(MIDDLE - 3_000)
    assert await told(perps, "GET", "openAlgoOrders") == []
    perps.follow()
    found = await told(perps, "GET", "algoOrder", algoId=algo["algoId"])
    assert (found["algoStatus"], found["executedQty"]) == ("FINISHED", "1")
    assert found["actualOrderId"] == str(algo["algoId"])
    every = await told(perps, "GET", "allOrders", symbol="ETHUSDT")
    assert every[-1]["orderId"] == algo["algoId"]
    assert every[-1]["status"] == "FILLED"


async def test_a_trailing_stop(perps: PerpetualExchange) -> None:
    """The rate is taken of the mark while nothing has traded."""
    await placed(perps, type="MARKET", quantity="2")
    algo = await told(
        perps, "POST", "algoOrder", **{**STOP, "type": "TRAILING_STOP_MARKET"},
        algoType="CONDITIONAL", callbackRate="1",
    )  # fmt: skip
    assert algo["orderType"] == "TRAILING_STOP_MARKET"
    assert 24 < float(algo["trailingOffset"]) < 26


async def test_batches_answer_one_by_one(perps: PerpetualExchange) -> None:
    """Numbers may come as JSON numbers; a refusal stands in its order's place."""
    one = {**ORDER, "quantity": 1, "price": 2450.5, "newClientOrderId": "b1"}
    orders = [one, {**one, "price": "2450.005", "newClientOrderId": "b2"}, {**one, "side": "UP"},
              {**one, "newClientOrderId": "b1", "price": "2451"}]  # fmt: skip
    first, off_tick, no_side, repeated = await told(
        perps, "POST", "batchOrders", batchOrders=json.dumps(orders)
    )
    assert (first["price"], first["clientOrderId"]) == ("2450.5", "b1")
    assert (off_tick["code"], no_side["code"], repeated["code"]) == (-1013, -1117, -2010)
    change = {"symbol": "ETHUSDT", "side": "BUY", "orderId": first["orderId"], "price": "2449"}
    amended, unknown = await told(
        perps, "PUT", "batchOrders", batchOrders=json.dumps([change, {**change, "orderId": 9}])
    )
    assert (amended["price"], unknown["code"]) == ("2449", -2013)
    ended = await told(
        perps, "DELETE", "batchOrders", symbol="ETHUSDT", orderidlist=f"[{first['orderId']},9]"
    )
    assert [ended[0]["status"], ended[1]["code"]] == ["CANCELED", -2011]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[1]", '["a"]', "[" * 5_000, '[{"symbol": ["ETHUSDT"]}]', "[{}]" * 2,
             json.dumps([{}] * 6)],
)  # fmt: skip
async def test_batches_that_are_none(perps: PerpetualExchange, text: str) -> None:
    """What is no list of up to five orders is refused as a whole, and places nothing."""
    answer = await ask(perps, "POST", f"{V1}/batchOrders", batchOrders=text)
    assert (answer.status_code, answer.json()["code"] < 0) == (400, True), answer.text
    if text not in ("[1]", '["a"]'):  # those are lists of ids, and answered one by one
        wrong = await ask(perps, "DELETE", f"{V1}/batchOrders", symbol="ETHUSDT", orderIdList=text)
        assert wrong.status_code == 400, wrong.text
        assert "orderIdList" in wrong.text or "batch orders" in wrong.text


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"quantity": "900"}, -2019, "Account has insufficient balance for requested action."),
        (
            {"price": "2501", "timeInForce": "GTX"},
            -5022,
            "Order would immediately match and take.",
        ),
        ({"price": "2450.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.0001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"price": "3000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"reduceOnly": "true"}, -2022, "ReduceOnly Order is rejected."),
        ({"symbol": "BTCUSDT"}, -1121, "Invalid symbol."),
        (
            {"type": "STOP_MARKET", "stopPrice": "2400"},
            -2021,
            "Stop price would trigger immediately.",
        ),
        ({"positionSide": "SHORT"}, -4061, "Order's position side does not match user's setting."),
        ({"timeInForce": "GTD", "goodTillDate": "1"}, -1130, "Data sent for parameter"),
    ],
)
async def test_refusals(
    perps: PerpetualExchange, fields: dict[str, Any], code: int, message: str
) -> None:
    """Each refusal has the code and the words that clients know, and 400; trying meets the same."""
    if code == -2021:  # a stop of the last price needs one
        await placed(perps, type="MARKET", quantity="0.1")
    for path in ("order", "order/test"):
        answer = await ask(perps, "POST", f"{V1}/{path}", **{**ORDER, **fields})
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
        assert answer.json()["msg"].startswith(message)


async def test_one_way_and_one_asset(perps: PerpetualExchange) -> None:
    """The modes that clients ask for are said; others cannot be chosen."""
    assert await told(perps, "GET", "positionSide/dual") == {"dualSidePosition": False}
    assert await told(perps, "GET", "multiAssetsMargin") == {"multiAssetsMargin": False}
    for path, name, codes in (
        ("positionSide/dual", "dualSidePosition", (-4060, -4059)),
        ("multiAssetsMargin", "multiAssetsMargin", (-4167, -4171)),
    ):
        found = [
            (await ask(perps, "POST", f"{V1}/{path}", **fields)).json()["code"]
            for word in ("true", "false")
            for fields in (cast("dict[str, Any]", {name: word}),)
        ]
        assert tuple(found) == codes


async def test_the_dead_mans_switch(perps: PerpetualExchange) -> None:
    """Without a further word all orders go; the time is rounded up to a second."""
    await placed(perps)
    armed = {"symbol": "ETHUSDT", "countdownTime": 1_500}
    assert (await told(perps, "POST", "countdownCancelAll", **armed))["countdownTime"] == "2000"
    perps.door.wait(3)
    assert await told(perps, "GET", "openOrders") == []
    for wrong in ("", "-1", "1.5", "86400001", "9" * 19):
        answer = await ask(
            perps, "POST", f"{V1}/countdownCancelAll", symbol="ETHUSDT", countdownTime=wrong
        )
        assert answer.status_code == 400, answer.text


async def test_brackets_and_rates(perps: PerpetualExchange) -> None:
    """Brackets follow each other without a gap; rates are fractions of the caller's tier."""
    (found,) = await told(perps, "GET", "leverageBracket", symbol="ETHUSDT")
    first, second = found["brackets"]
    assert (first["bracket"], first["initialLeverage"], first["maintMarginRatio"]) == (
        1,
        50,
        "0.01",
    )
    assert (first["notionalFloor"], first["notionalCap"], second["notionalFloor"]) == (
        "0",
        "50000",
        "50000",
    )
    assert (second["initialLeverage"], second["cum"], second["notionalCap"]) == (
        25,
        "500",
        "10000000",
    )
    rates = await told(perps, "GET", "commissionRate", symbol="ETHUSDT")
    assert (rates["makerCommissionRate"], rates["takerCommissionRate"]) == ("0.0002", "0.0005")
    for leverage in ("0", "51", "x", "", str(2**62)):
        answer = await ask(perps, "POST", f"{V1}/leverage", symbol="ETHUSDT", leverage=leverage)
        assert answer.status_code == 400, answer.text


async def test_a_customer_who_may_only_withdraw(perps: PerpetualExchange) -> None:
    """Orders can be ended, and none begun."""
    await placed(perps)
    perps.add_key(ALICE, "leaving", customer_status="withdraw_only")
    refused = await ask(perps, "POST", f"{V1}/order", key_id="leaving", **ORDER)
    assert refused.json()["msg"] == "This account may not place or cancel orders."
    ended = await ask(perps, "DELETE", f"{V1}/allOpenOrders", key_id="leaving", symbol="ETHUSDT")
    assert ended.json()["code"] == 200
