"""Lists of orders in the dialect, by the native handlers and the real engine in one process."""

from __future__ import annotations

from typing import Any

import pytest

from api.binance import user_stream
from tests.api.binance.clients import ask
from tests.api.binance.listening import Desk
from tests.api.exchange import Exchange
from tests.api.waiting import eventually

V3 = "/api/v3"
OCO: dict[str, Any] = {
    "symbol": "ETHUSDT",
    "side": "SELL",
    "quantity": "1",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "2600",
    "belowType": "STOP_LOSS_LIMIT",
    "belowStopPrice": "2400",
    "belowPrice": "2390",
    "belowTimeInForce": "GTC",
}
OTOCO: dict[str, Any] = {
    "symbol": "ETHUSDT",
    "workingType": "LIMIT",
    "workingSide": "BUY",
    "workingPrice": "2500",
    "workingQuantity": "1",
    "workingTimeInForce": "GTC",
    "pendingSide": "SELL",
    "pendingQuantity": "1",
    "pendingAboveType": "TAKE_PROFIT_LIMIT",
    "pendingAboveStopPrice": "2600",
    "pendingAbovePrice": "2590",
    "pendingAboveTimeInForce": "GTC",
    "pendingBelowType": "STOP_LOSS",
    "pendingBelowStopPrice": "2400",
}


async def place(exchange: Exchange, kind: str, usual: dict[str, Any], **fields: Any) -> Any:
    """Place a list; a field that is None is left out."""
    given = {name: text for name, text in {**usual, **fields}.items() if text is not None}
    return await ask(exchange, "POST", f"{V3}/orderList/{kind}", **given)


async def test_an_oco(exchange: Exchange) -> None:
    """Placed, found by its id and by each name, listed, cancelled as a whole, and then unknown."""
    answer = await place(exchange, "oco", OCO, listClientOrderId="mine", belowClientOrderId="low")
    placed = answer.json()
    assert answer.status_code == 200, placed
    assert (placed["contingencyType"], placed["listOrderStatus"]) == ("OCO", "EXECUTING")
    assert placed["listClientOrderId"] == "mine"
    assert [one["clientOrderId"] for one in placed["orders"]] == ["mine", "low"]
    above, below = placed["orderReports"]
    assert (above["type"], above["price"]) == ("LIMIT_MAKER", "2600")
    assert (below["type"], below["stopPrice"], below["workingTime"]) == (
        "STOP_LOSS_LIMIT",
        "2400",
        -1,
    )
    assert {above["orderListId"], below["orderListId"]} == {placed["orderListId"]}
    names: list[dict[str, Any]] = [
        {"orderListId": placed["orderListId"]},
        {"origClientOrderId": "mine"},
        {"origClientOrderId": "low"},
    ]
    for name in names:
        found = (await ask(exchange, "GET", f"{V3}/orderList", **name)).json()
        assert found == {key: placed[key] for key in found}
    assert (await ask(exchange, "GET", f"{V3}/openOrderList")).json() == [found]
    named: dict[str, Any] = {"symbol": "ETHUSDT", "listClientOrderId": "mine"}
    ended = (await ask(exchange, "DELETE", f"{V3}/orderList", **named)).json()
    assert (ended["listStatusType"], ended["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert [one["status"] for one in ended["orderReports"]] == ["CANCELED", "CANCELED"]
    assert (await ask(exchange, "GET", f"{V3}/openOrderList")).json() == []
    again = await ask(exchange, "DELETE", f"{V3}/orderList", **named)
    assert again.json() == {"code": -2011, "msg": "Unknown order sent."}


async def test_a_buys_take_profit_is_below(exchange: Exchange) -> None:
    """Above and below are places, not purposes; a name of the other kind of order is refused."""
    buy: dict[str, Any] = {
        "side": "BUY",
        "aboveType": "STOP_LOSS",
        "aboveStopPrice": "2600",
        "abovePrice": None,
        "belowType": "LIMIT_MAKER",
        "belowPrice": "2400",
        "belowStopPrice": None,
    }
    placed = (await place(exchange, "oco", OCO, **buy)).json()
    assert [one["type"] for one in placed["orderReports"]] == ["LIMIT_MAKER", "STOP_LOSS"]
    assert [one["side"] for one in placed["orderReports"]] == ["BUY", "BUY"]
    refused = await place(exchange, "oco", OCO, side="BUY")
    assert refused.json()["code"] == -1158


async def test_the_older_route(exchange: Exchange) -> None:
    """`order/oco` has the limit order and the stop by names of their own."""
    old: dict[str, Any] = {
        "symbol": "ETHUSDT",
        "side": "SELL",
        "quantity": "1",
        "price": "2600",
        "stopPrice": "2400",
        "stopLimitPrice": "2390",
        "stopLimitTimeInForce": "GTC",
        "limitClientOrderId": "a",
        "stopClientOrderId": "b",
        "listClientOrderId": "kept",
    }
    placed = (await ask(exchange, "POST", f"{V3}/order/oco", **old)).json()
    assert [one["clientOrderId"] for one in placed["orders"]] == ["a", "b"]
    assert placed["listClientOrderId"] == "kept"
    for name in ("kept", "a", "b"):
        found = (await ask(exchange, "GET", f"{V3}/orderList", origClientOrderId=name)).json()
        assert (found["orderListId"], found["listClientOrderId"]) == (placed["orderListId"], "kept")
    assert (await ask(exchange, "GET", f"{V3}/openOrderList")).json() == [found]
    other = await ask(exchange, "GET", f"{V3}/orderList", key_id="key-2", origClientOrderId="kept")
    assert other.json()["code"] == -2013
    again = await ask(exchange, "POST", f"{V3}/order/oco", **old)
    assert again.json() == {"code": -2010, "msg": "Duplicate order sent."}


async def test_a_refused_list_leaves_no_name(exchange: Exchange) -> None:
    """Its name does not hide an earlier list of that name, nor does a repetition take it away."""
    names: dict[str, Any] = {"aboveClientOrderId": "a", "belowClientOrderId": "b"}
    placed = (await place(exchange, "oco", OCO, listClientOrderId="mine", **names)).json()
    again = await place(exchange, "oco", OCO, listClientOrderId="other", **names)
    assert again.json()["code"] == -2010
    wrong: dict[str, Any] = {"aboveClientOrderId": "c", "belowClientOrderId": "d"}
    refused = await place(
        exchange, "oco", OCO, listClientOrderId="mine", abovePrice="2300", **wrong
    )
    assert refused.json()["code"] == -2010
    found = (await ask(exchange, "GET", f"{V3}/orderList", origClientOrderId="mine")).json()
    assert (found["orderListId"], found["listClientOrderId"]) == (placed["orderListId"], "mine")
    ended = await ask(
        exchange, "DELETE", f"{V3}/orderList", symbol="ETHUSDT", listClientOrderId="mine"
    )
    assert ended.json()["listClientOrderId"] == "mine"


async def test_names_while_they_cannot_be_written(exchange: Exchange) -> None:
    """A list is placed only if an order's client id tells its name; nothing else is lost."""
    exchange.list_names.away = True
    placed = (await place(exchange, "oco", OCO, listClientOrderId="mine")).json()
    assert placed["listClientOrderId"] == "mine"
    found = (await ask(exchange, "GET", f"{V3}/orderList", origClientOrderId="mine")).json()
    assert found["listClientOrderId"] == "mine"
    names: dict[str, Any] = {"aboveClientOrderId": "a", "belowClientOrderId": "b"}
    refused = await place(exchange, "oco", OCO, listClientOrderId="lost", **names)
    assert refused.status_code == 503
    exchange.list_names.away = False
    assert len((await ask(exchange, "GET", f"{V3}/openOrderList")).json()) == 1


async def test_an_otoco(exchange: Exchange) -> None:
    """Its exits are pending until the working order has traded; then one of them ends the other."""
    answer = await place(exchange, "otoco", OTOCO)
    placed = answer.json()
    assert answer.status_code == 200, placed
    assert placed["contingencyType"] == "OTO"
    assert [one["status"] for one in placed["orderReports"]] == [
        "NEW",
        "PENDING_NEW",
        "PENDING_NEW",
    ]
    await exchange.place("key-2", side="sell", price="2500", quantity="1")
    exchange.follow()
    (open_list,) = (await ask(exchange, "GET", f"{V3}/openOrderList")).json()
    assert open_list["orders"] == placed["orders"]
    exit_id = placed["orders"][1]["orderId"]
    seen = await ask(exchange, "GET", f"{V3}/order", symbol="ETHUSDT", orderId=exit_id)
    assert (seen.json()["status"], seen.json()["isWorking"]) == ("NEW", False)
    ended = await ask(
        exchange, "DELETE", f"{V3}/orderList", symbol="ETHUSDT", orderListId=placed["orderListId"]
    )
    assert [one["orderId"] for one in ended.json()["orderReports"]] == [
        one["orderId"] for one in placed["orders"][1:]
    ]


async def test_an_oto(exchange: Exchange) -> None:
    """One exit of the working order's quantity."""
    oto = {
        name: text for name, text in OTOCO.items() if "Above" not in name and "Below" not in name
    }
    stop: dict[str, Any] = {
        "pendingType": "STOP_LOSS",
        "pendingStopPrice": "2400",
        "pendingQuantity": "1.0",
    }
    placed = (await place(exchange, "oto", oto, **stop)).json()
    assert [one["side"] for one in placed["orderReports"]] == ["BUY", "SELL"]
    for wrong in (
        {"pendingType": "MARKET"},
        {"pendingSide": "BUY"},
        {"pendingQuantity": "0.5"},
        {"pendingTrailingDelta": "100"},
    ):
        refused = (await place(exchange, "oto", oto, **{**stop, **wrong})).json()
        assert refused["code"] == -1128, refused


@pytest.mark.parametrize(
    ("fields", "code", "word"),
    [
        ({"abovePrice": None}, -1102, "'abovePrice'"),
        ({"belowStopPrice": "1e3"}, -1100, "stop_loss: The trigger_price"),
        ({"aboveClientOrderId": "a b"}, -1100, "'aboveClientOrderId'"),
        ({"belowType": "MARKET"}, -1158, "belowType"),
        ({"belowTimeInForce": "IOC"}, -1128, "belowTimeInForce"),
        ({"belowTimeInForce": "DAY"}, -1115, "timeInForce"),
        ({"aboveIcebergQty": "0.1"}, -1128, "aboveIcebergQty"),
        ({"abovePrice": "2300"}, -2010, "relationship"),
        ({"quantity": "99999999999"}, -1013, "LOT_SIZE"),
        ({"side": "sell"}, -1117, "side"),
        ({"listClientOrderId": "a b"}, -1100, "'listClientOrderId'"),
        ({"symbol": "NOPE"}, -1121, "symbol"),
    ],
)
async def test_refusals(exchange: Exchange, fields: dict[str, Any], code: int, word: str) -> None:
    """Each names the parameter at fault, and nothing is placed."""
    refused = (await place(exchange, "oco", OCO, **fields)).json()
    assert refused["code"] == code, refused
    assert word in refused["msg"]
    assert (await ask(exchange, "GET", f"{V3}/openOrders")).json() == []


async def test_lists_of_the_history(exchange: Exchange) -> None:
    """All of them, oldest first, from an id on, or so many of the newest; others' are not there."""
    placed = []
    for name in ("one", "two", "three"):
        answer = await place(exchange, "oco", OCO, listClientOrderId=name)
        placed.append(answer.json()["orderListId"])
        await exchange.place(price="1000", quantity="0.1")
    exchange.follow()

    async def listed(**how: Any) -> list[int]:
        found = (await ask(exchange, "GET", f"{V3}/allOrderList", **how)).json()
        return [one["orderListId"] for one in found]

    assert await listed() == placed
    assert await listed(limit=2) == placed[1:]
    assert await listed(fromId=placed[1], limit=1) == placed[1:2]
    assert await listed(key_id="key-2") == []
    assert (await ask(exchange, "GET", f"{V3}/orderList", orderListId=placed[0] + 1)).json()[
        "code"
    ] == -2013
    other = await ask(exchange, "GET", f"{V3}/orderList", orderListId=placed[0], key_id="key-2")
    assert other.json()["code"] == -2013
    stolen: dict[str, Any] = {"symbol": "ETHUSDT", "orderListId": placed[0]}
    refused = await ask(exchange, "DELETE", f"{V3}/orderList", key_id="key-2", **stolen)
    assert refused.json()["code"] == -2011


async def test_lists_over_the_socket(heard: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The methods are those of REST; a subscriber hears how lists begin, are armed and end."""
    monkeypatch.setattr(user_stream, "STATE_SECONDS", 0.05)
    asker = await heard.spot()
    given: dict[str, Any] = {"workingClientOrderId": "first", "listClientOrderId": "mine"}
    placed = await asker.ask("orderList.place.otoco", key_id="key-1", **OTOCO, **given)
    assert placed["status"] == 200, placed
    assert placed["result"]["listClientOrderId"] == "mine"
    number = placed["result"]["orderListId"]
    found = await asker.ask("orderList.status", key_id="key-1", orderListId=number)
    assert found["result"]["orders"] == placed["result"]["orders"]
    open_now = await asker.ask("openOrderLists.status", key_id="key-1")
    assert open_now["result"] == [found["result"]]
    await heard.exchange.place("key-2", side="sell", price="2500", quantity="1")
    ended = await asker.ask(
        "orderList.cancel", key_id="key-1", symbol="ETHUSDT", orderListId=number
    )
    assert ended["result"]["listOrderStatus"] == "ALL_DONE"
    await eventually(lambda: len(asker.told("listStatus")) == 3)
    told = asker.told("listStatus")
    assert [one["l"] for one in told] == ["EXEC_STARTED", "UPDATED", "ALL_DONE"]
    assert {(one["g"], one["c"], one["C"]) for one in told} == {(number, "OTO", "mine")}
    assert [one["i"] for one in told[0]["O"]] == [
        one["orderId"] for one in found["result"]["orders"]
    ]
    states = [one["X"] for one in await asker.reports(5)]
    assert states[:3] == ["NEW", "PENDING_NEW", "PENDING_NEW"]


async def test_what_was_pending_ends_in_its_reports(heard: Desk) -> None:
    """With a working order that has not traded its exits end, and are told to have ended."""
    asker = await heard.spot()
    placed = await asker.ask("orderList.place.otoco", key_id="key-1", **OTOCO)
    number = placed["result"]["orderListId"]
    await asker.ask("orderList.cancel", key_id="key-1", symbol="ETHUSDT", orderListId=number)
    ended = (await asker.reports(6))[3:]
    assert [(one["x"], one["X"]) for one in ended] == [("CANCELED", "CANCELED")] * 3
